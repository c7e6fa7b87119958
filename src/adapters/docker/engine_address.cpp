#include "adapters/docker/engine_address.hpp"

#include <sys/un.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>

namespace builder::adapters::docker {
namespace {

constexpr std::string_view k_unix = "unix://";
constexpr std::string_view k_tcp = "tcp://";

bool is_port(std::string_view text) {
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// Of a name or an IPv4 address; of an IPv6 address, colons as well.
bool is_host(std::string_view text, bool is_v6) {
  return !text.empty() && std::ranges::all_of(text, [is_v6](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || (is_v6 && c == ':');
  });
}

}  // namespace

std::string EngineAddress::authority() const {
  return (host.contains(':') ? "[" + host + "]" : host) + ":" + port;
}

std::string EngineAddress::str() const {
  return is_socket() ? std::string(k_unix) + socket : std::string(k_tcp) + authority();
}

Result<EngineAddress> parse_engine_address(std::string_view text) {
  if (text.starts_with("unix:///")) {
    const std::string_view path = text.substr(k_unix.size());
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      return failure(ErrorKind::invalid_input, "names a socket whose path is too long");
    }
    return EngineAddress{.socket = std::string(path), .host = {}, .port = {}};
  }
  if (text.starts_with(k_tcp)) {
    const std::string_view authority = text.substr(k_tcp.size());
    const std::size_t colon = std::min(authority.rfind(':'), authority.size());
    std::string_view host = authority.substr(0, colon);
    const std::string_view port = authority.substr(std::min(colon + 1, authority.size()));
    const bool is_v6 = host.starts_with('[') && host.ends_with(']');
    if (is_v6) {
      host = host.substr(1, host.size() - 2);
    }
    if (is_host(host, is_v6) && is_port(port)) {
      return EngineAddress{.socket = {}, .host = std::string(host), .port = std::string(port)};
    }
  }
  return failure(ErrorKind::invalid_input, "must be unix:///path/of/its.sock or tcp://host:port");
}

}  // namespace builder::adapters::docker
