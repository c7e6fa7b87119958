#include "app/config/setting_values.hpp"

#include "adapters/policy/policy_file.hpp"
#include "base/duration.hpp"
#include "base/size.hpp"
#include "domain/platform_name.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace builder::app::values {

namespace {

/// `host`, `host:port`, or the same with an IPv6 address in brackets.
bool is_authority(std::string_view text, bool needs_port) {
  const std::size_t host_end = text.starts_with('[') ? text.find(']') + 1 : text.rfind(':');
  const std::string_view host = text.substr(0, host_end);
  const std::string_view port = text.substr(std::min(host_end, text.size()));
  const bool is_host = std::ranges::all_of(host, [&](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' ||
           (host.starts_with('[') && (c == ':' || c == '[' || c == ']'));
  });
  const bool is_port = port.starts_with(':') ? whole_number(port.substr(1), 0, 65'535).has_value()
                                             : port.empty() && !needs_port;
  return is_host && !host.empty() && is_port;
}

}  // namespace

std::optional<std::int64_t> whole_number(std::string_view text, std::int64_t low,
                                         std::int64_t high) {
  std::int64_t parsed = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, parsed);
  if (error != std::errc() || stopped != end || parsed < low || parsed > high) {
    return std::nullopt;
  }
  return parsed;
}

ValueReader text(std::string& target) {
  return [&target](const std::string& value) {
    target = value;
    return Complaint();
  };
}

ValueReader host_name(std::string& target, std::string_view port_setting) {
  return [&target, port_setting](const std::string& value) -> Complaint {
    const bool is_bracketed = value.starts_with('[') && value.ends_with(']');
    const std::string host = is_bracketed ? value.substr(1, value.size() - 2) : value;
    const auto colons = std::ranges::count(host, ':');
    if (host.empty() || host.find_first_of("/@[]") != std::string::npos ||
        (colons != 0 && colons < 2)) {
      return fmt::format("must be a host name or address alone; its port is {}", port_setting);
    }
    target = host;
    return {};
  };
}

ValueReader secret(Secret& target) {
  return [&target](const std::string& value) {
    target = Secret(value);
    return Complaint();
  };
}

ValueReader list(std::vector<std::string>& target) {
  return [&target](const std::string& value) {
    target.clear();
    std::istringstream items(value);
    for (std::string item; std::getline(items, item, ',');) {
      std::erase_if(item, [](unsigned char c) { return std::isspace(c) != 0; });
      if (!item.empty()) {
        target.push_back(std::move(item));
      }
    }
    return Complaint();
  };
}

ValueReader duration(std::chrono::seconds& target, std::int64_t low, std::chrono::seconds most) {
  return [&target, low, most](const std::string& value) -> Complaint {
    const auto parsed = parse_duration(value, most);
    if (!parsed || parsed->count() < low) {
      return fmt::format("must be a time such as 90, 90s, 30m, 2h or 1d, from {} s to {} days", low,
                         std::chrono::floor<std::chrono::days>(most).count());
    }
    target = *parsed;
    return {};
  };
}

ValueReader size(std::uint64_t& target) {
  return [&target](const std::string& value) -> Complaint {
    const auto parsed = parse_size(value);
    if (!parsed) {
      return "must be a size such as 512MiB or 20GiB";
    }
    target = *parsed;
    return {};
  };
}

ValueReader or_auto(bool& is_auto, ValueReader other) {
  return [&is_auto, other = std::move(other)](const std::string& value) -> Complaint {
    is_auto = value == "auto";
    return is_auto ? Complaint() : other(value);
  };
}

ValueReader core_count(double& target) {
  return [&target](const std::string& value) -> Complaint {
    double parsed = 0;
    const char* const end = value.data() + value.size();
    const auto [stopped, error] = std::from_chars(value.data(), end, parsed);
    // The kernel refuses less than 1 ms in 100.
    if (error != std::errc() || stopped != end ||
        !(parsed == 0 || (parsed >= 0.01 && parsed <= 1024))) {
      return "must be a number of cores such as 2 or 1.5";
    }
    target = parsed;
    return {};
  };
}

ValueReader free_floor(FreeFloor& target) {
  return [&target](const std::string& value) -> Complaint {
    const auto floor = parse_free_floor(value);
    if (!floor) {
      return "must be a share (10%, at most 90%), a size (20GiB) or both (10%,20GiB)";
    }
    target = *floor;
    return {};
  };
}

ValueReader history_keep(adapters::history::Keep& target) {
  return [&target](const std::string& value) -> Complaint {
    constexpr std::int64_t k_most_days = 3650;
    constexpr std::uint64_t k_least_bytes = 16 * 1024 * 1024;
    constexpr const char* k_complaint =
        "must be days and a size of at least 16MiB, such as 30d,1GiB, or 0";
    target = {};
    if (value == "0") {
      return {};
    }
    const std::size_t comma = value.find(',');
    if (comma == 0 || comma == std::string::npos || value[comma - 1] != 'd') {
      return k_complaint;
    }
    const auto days = whole_number(std::string_view(value).substr(0, comma - 1), 1, k_most_days);
    const auto bytes = parse_size(value.substr(comma + 1));
    if (!days || !bytes || *bytes < k_least_bytes) {
      return k_complaint;
    }
    target = {.age = std::chrono::days(*days), .bytes = *bytes};
    return {};
  };
}

ValueReader absolute_path(std::string& target) {
  return [&target](const std::string& value) -> Complaint {
    if (!value.empty() && !value.starts_with('/')) {
      return "must be an absolute path";
    }
    target = value;
    return {};
  };
}

ValueReader http_url(std::string& target) {
  return [&target](const std::string& value) -> Complaint {
    const std::string_view scheme = value.starts_with("http://") ? "http://" : "https://";
    if (!value.empty()) {
      const std::string_view rest =
          std::string_view(value).substr(std::min(scheme.size(), value.size()));
      const std::string_view authority = rest.substr(0, rest.find('/'));
      if (authority.contains('@')) {
        return "must not hold credentials";
      }
      if (!value.starts_with(scheme) || !is_authority(authority, false) || value.contains(' ')) {
        return "must be an http:// or https:// address";
      }
    }
    target = value;
    while (target.ends_with('/')) {
      target.pop_back();
    }
    return {};
  };
}

ValueReader listen_address(std::string& target) {
  return [&target](const std::string& value) -> Complaint {
    if (!value.empty() && !is_authority(value, true)) {
      return "must be host:port, e.g. 127.0.0.1:9191";
    }
    target = value;
    return {};
  };
}

ValueReader engine_address(adapters::docker::EngineAddress& target) {
  return [&target](const std::string& value) -> Complaint {
    auto address = adapters::docker::parse_engine_address(value);
    if (!address) {
      return address.error().message;
    }
    target = *std::move(address);
    return {};
  };
}

ValueReader buildkit_addresses(std::vector<BuildkitAddress>& target) {
  return [&target](const std::string& value) -> Complaint {
    std::vector<BuildkitAddress> found;
    const bool is_list = value.substr(0, value.find("://")).contains('=');
    if (!is_list && !value.empty()) {
      return engine_address(target.emplace_back().address)(value);
    }
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view entry = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      const std::size_t equals = entry.find('=');
      if (equals == std::string_view::npos) {
        return "must be one address, or several like linux/amd64=tcp://host:port with commas "
               "between them";
      }
      BuildkitAddress one{.platform = std::string(entry.substr(0, equals)), .address = {}};
      if (const std::string fault = domain::platform_list_fault(one.platform); !fault.empty()) {
        return "must name a platform before each address: " + fault;
      }
      if (std::ranges::any_of(found, [&](const BuildkitAddress& other) {
            return domain::is_same_machine(other.platform, one.platform);
          })) {
        return "must name one address for " + one.platform;
      }
      if (auto complaint = engine_address(one.address)(std::string(entry.substr(equals + 1)));
          !complaint.empty()) {
        return fmt::format("has for {} what {}", one.platform, complaint);
      }
      found.push_back(std::move(one));
    }
    std::ranges::stable_partition(found, [](const BuildkitAddress& one) {
      return domain::is_same_machine(one.platform, domain::k_default_platform);
    });
    target = std::move(found);
    return {};
  };
}

ValueReader platform_list(std::string& target) {
  return [&target](const std::string& value) -> Complaint {
    std::string list = value;
    std::erase(list, ' ');
    if (const std::string fault = domain::platform_list_fault(list); !fault.empty()) {
      return "must be like linux/amd64 or linux/amd64,linux/arm64: " + fault;
    }
    target = std::move(list);
    return {};
  };
}

ValueReader compression(adapters::buildkit::Compression& target) {
  return [&target](const std::string& value) -> Complaint {
    const std::size_t colon = value.find(':');
    adapters::buildkit::Compression parsed{.type = value.substr(0, colon), .level = {}};
    const bool is_deflate = parsed.type == "gzip" || parsed.type == "estargz";
    const std::int64_t most = is_deflate ? 9 : parsed.type == "zstd" ? 22 : 0;
    if (colon != std::string::npos) {
      const auto level = whole_number(std::string_view(value).substr(colon + 1), 1, most);
      parsed.level = level ? std::optional(static_cast<int>(*level)) : std::nullopt;
    }
    if (most == 0 || (colon != std::string::npos && !parsed.level)) {
      return "must be gzip, estargz or zstd, or one with a level: gzip:1 to gzip:9, estargz:1 to "
             "estargz:9, zstd:1 to zstd:22";
    }
    target = std::move(parsed);
    return {};
  };
}

ValueReader region(std::string& target) {
  return [&target](const std::string& value) -> Complaint {
    // It becomes part of a host name.
    if (!std::ranges::all_of(value,
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; })) {
      return "must be a region such as us-east-1";
    }
    target = value;
    return {};
  };
}

ValueReader auths_file(adapters::oci::LoginTable& target) {
  return [&target](const std::string& path) -> Complaint {
    if (path.empty()) {
      return {};
    }
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf())) {
      return "names a file that cannot be read";
    }
    auto logins = adapters::oci::parse_auths(text.view());
    if (!logins) {
      return logins.error().message;
    }
    target = *std::move(logins);
    return {};
  };
}

ValueReader policy_file(std::shared_ptr<const adapters::policy::Policy>& target) {
  return [&target](const std::string& path) -> Complaint {
    if (path.empty()) {
      return {};
    }
    auto policy = adapters::policy::read_policy(path);
    if (!policy) {
      return policy.error().message;
    }
    target = std::make_shared<const adapters::policy::Policy>(*std::move(policy));
    return {};
  };
}

}  // namespace builder::app::values
