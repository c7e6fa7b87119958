#include "adapters/redis/client/redis_config.hpp"

#include <charconv>
#include <optional>
#include <utility>

namespace builder::adapters::redis {

namespace {

std::unexpected<Error> wrong(std::string what) {
  return failure(ErrorKind::invalid_input, std::move(what));
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned int byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) {
      return std::nullopt;
    }
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

template <class Number>
bool read_number(std::string_view text, Number& target, Number low, Number high) {
  Number parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size() || parsed < low || parsed > high) {
    return false;
  }
  target = parsed;
  return true;
}

Result<RedisAddress> parse_address(std::string_view text, std::uint16_t default_port) {
  RedisAddress address{.host = {}, .port = default_port};
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {  // IPv6
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return wrong("an address has no closing bracket");
    }
    address.host = text.substr(1, close - 1);
    colon = close + 1 < text.size() ? close + 1 : std::string_view::npos;
  } else {
    address.host = text.substr(0, colon);
  }
  if (colon != std::string_view::npos &&
      (text[colon] != ':' ||
       !read_number<std::uint16_t>(text.substr(colon + 1), address.port, 1, 65'535))) {
    return wrong("a port must be a number from 1 to 65535");
  }
  if (address.host.empty()) {
    return wrong("a host is missing");
  }
  return address;
}

Result<> read_user(RedisConfig& config, std::string_view user_info) {
  const std::size_t colon = user_info.find(':');
  const auto user = percent_decoded(user_info.substr(0, colon));
  const auto password = percent_decoded(
      colon == std::string_view::npos ? std::string_view() : user_info.substr(colon + 1));
  if (!user || !password) {
    return wrong("the user or password is not percent-encoded properly");
  }
  config.username = *user;
  config.password = Secret(*password);
  return {};
}

Result<> read_database(RedisConfig& config, std::string_view text) {
  if (!text.empty() && !read_number(text, config.database, 0, 1'000'000)) {
    return wrong("the database must be a number");
  }
  return {};
}

}  // namespace

Result<> apply_url(RedisConfig& config, std::string_view url) {
  const std::size_t scheme_end = url.find("://");
  const std::string_view scheme = url.substr(0, scheme_end);
  const bool unix_socket = scheme == "unix";
  if (scheme_end == std::string_view::npos ||
      (scheme != "redis" && scheme != "rediss" && !unix_socket)) {
    return wrong("must begin with redis://, rediss:// or unix://");
  }
  config.is_url = true;
  std::string_view rest = url.substr(scheme_end + 3);
  if (unix_socket) {
    // The user stands before the path, which begins with the first slash.
    const std::size_t path = rest.find('/');
    if (path == std::string_view::npos || (path != 0 && rest[path - 1] != '@')) {
      return wrong("must name the socket's absolute path");
    }
    if (path != 0) {
      BUILDER_TRY(read_user(config, rest.substr(0, path - 1)));
    }
    const std::size_t query = rest.find("?db=");
    config.socket = rest.substr(path, query - path);
    return read_database(
        config, query == std::string_view::npos ? std::string_view() : rest.substr(query + 4));
  }
  config.tls.enabled = scheme == "rediss";
  const std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    BUILDER_TRY(read_user(config, authority.substr(0, at)));
    authority.remove_prefix(at + 1);
  }
  BUILDER_TRY_ASSIGN(config.address, parse_address(authority, RedisAddress().port));
  return read_database(
      config, slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1));
}

Result<std::vector<RedisAddress>> parse_addresses(std::string_view list,
                                                  std::uint16_t default_port) {
  std::vector<RedisAddress> addresses;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    while (one.starts_with(' ')) {
      one.remove_prefix(1);
    }
    while (one.ends_with(' ')) {
      one.remove_suffix(1);
    }
    BUILDER_TRY_ASSIGN(RedisAddress address, parse_address(one, default_port));
    addresses.push_back(std::move(address));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return addresses;
}

}  // namespace builder::adapters::redis
