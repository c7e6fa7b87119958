#include "adapters/http/proxy.hpp"

#include "adapters/http/message.hpp"
#include "base/ascii.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <optional>

namespace builder::adapters::http {

namespace {

struct Authority {
  std::string scheme;
  std::string user;  ///< And password, as they stand there.
  std::string host;  ///< In lower case, without brackets.
  std::string port;  ///< Empty: the scheme's own.
};

/// Splits `host`, `host:port`, `[v6]:port`.
void split_port(std::string_view text, Authority& authority) {
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const std::size_t close = std::min(text.find(']'), text.size());
    authority.host = lower_case(text.substr(1, close - 1));
    colon = close + 1 < text.size() && text[close + 1] == ':' ? close + 1 : std::string_view::npos;
  } else if (colon != std::string_view::npos && text.find(':') != colon) {
    colon = std::string_view::npos;  // An IPv6 address without brackets.
    authority.host = lower_case(text);
  } else {
    authority.host = lower_case(text.substr(0, colon));
  }
  if (colon != std::string_view::npos) {
    authority.port = text.substr(colon + 1);
  }
}

Authority authority_of(std::string_view url) {
  Authority authority;
  const std::size_t mark = url.find("://");
  if (mark != std::string_view::npos) {
    authority.scheme = lower_case(url.substr(0, mark));
    url.remove_prefix(mark + 3);
  }
  url = url.substr(0, url.find_first_of("/?#"));
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos) {
    authority.user = url.substr(0, at);
    url.remove_prefix(at + 1);
  }
  split_port(url, authority);
  return authority;
}

/// The bytes of an address, of either family.
std::optional<std::string> address_bytes(const std::string& text) {
  std::array<char, 16> bytes{};
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
    return std::string(bytes.data(), 4);
  }
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    return std::string(bytes.data(), 16);
  }
  return std::nullopt;
}

/// Whether an address lies in `network/bits`.
bool is_in_network(const std::string& host, std::string_view network) {
  const std::size_t slash = network.find('/');
  if (slash == std::string_view::npos) {
    return false;
  }
  const auto address = address_bytes(host);
  const auto start = address_bytes(std::string(network.substr(0, slash)));
  const std::string_view digits = network.substr(slash + 1);
  unsigned bits = 0;
  if (!address || !start || address->size() != start->size() ||
      std::from_chars(digits.data(), digits.data() + digits.size(), bits).ec != std::errc() ||
      bits > address->size() * 8) {
    return false;
  }
  for (unsigned i = 0; i < bits; ++i) {
    const unsigned mask = 0x80u >> (i % 8);
    if ((static_cast<unsigned char>((*address)[i / 8]) & mask) !=
        (static_cast<unsigned char>((*start)[i / 8]) & mask)) {
      return false;
    }
  }
  return true;
}

}  // namespace

Proxies::Proxies(const Lookup& environment) {
  const auto read = [&environment](const char* name) {
    std::string value = environment(name);
    return value.empty() ? environment(upper_case(name).c_str()) : value;
  };
  http_ = read("http_proxy");
  https_ = read("https_proxy");
  all_ = read("all_proxy");
  none_ = read("no_proxy");
  std::string rest = lower_case(none_);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of(", \t"), rest.size());
    if (end > 0) {
      direct_.push_back(rest.substr(0, end));
    }
    rest.erase(0, end + 1);
  }
}

const Proxies& Proxies::of_process() {
  static const Proxies proxies([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  });
  return proxies;
}

std::string Proxies::for_url(std::string_view url) const {
  const Authority target = authority_of(url);
  const bool https = target.scheme == "https";
  const std::string& own = https ? https_ : http_;
  const std::string port = !target.port.empty() ? target.port : https ? "443" : "80";
  const std::string& proxy = own.empty() ? all_ : own;
  return proxy.empty() || is_direct(target.host, port) ? std::string() : proxy;
}

bool Proxies::is_direct(std::string_view host, std::string_view port) const {
  const std::string name(host.substr(0, host.find_last_not_of('.') + 1));
  return std::ranges::any_of(direct_, [&](const std::string& entry) {
    if (entry == "*" || is_in_network(name, entry)) {
      return true;
    }
    Authority listed;
    split_port(entry, listed);
    std::string_view domain = listed.host;
    domain.remove_prefix(domain.starts_with("*.") ? 2 : domain.starts_with('.') ? 1 : 0);
    if (domain.empty() || (!listed.port.empty() && listed.port != port) ||
        !name.ends_with(domain)) {
      return false;
    }
    return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
  });
}

std::vector<std::pair<std::string, std::string>> Proxies::variables() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [name, value] : {std::pair("http_proxy", &http_),
                                    {"https_proxy", &https_},
                                    {"all_proxy", &all_},
                                    {"no_proxy", &none_}}) {
    if (!value->empty()) {
      all.emplace_back(name, *value);
      all.emplace_back(upper_case(name), *value);
    }
  }
  return all;
}

std::vector<std::string> passwords_in(std::string_view url) {
  const std::string user = authority_of(url).user;
  const std::size_t colon = user.find(':');
  if (colon == std::string::npos) {
    return {};
  }
  std::vector<std::string> all{user.substr(colon + 1)};
  if (std::string plain = percent_decode(all.front()); plain != all.front()) {
    all.push_back(std::move(plain));
  }
  return all;
}

std::vector<std::string> Proxies::passwords() const {
  std::vector<std::string> all;
  for (const std::string* proxy : {&http_, &https_, &all_}) {
    for (std::string& password : passwords_in(*proxy)) {
      all.push_back(std::move(password));
    }
  }
  return all;
}

bool is_of_this_machine(std::string_view url) {
  const std::string host = authority_of(url).host;
  return host == "localhost" || host.ends_with(".localhost") || host == "::1" ||
         is_in_network(host, "127.0.0.0/8") || is_in_network(host, "169.254.0.0/16") ||
         is_in_network(host, "fe80::/10") || is_in_network(host, "fd00:ec2::/32");
}

}  // namespace builder::adapters::http
