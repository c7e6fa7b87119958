#include "adapters/docker/engine_address.hpp"

namespace builder::adapters::docker {
namespace {

constexpr std::string_view k_default_socket = "/var/run/docker.sock";
constexpr std::string_view k_default_port = "2375";

bool has_port(std::string_view authority) {
  const auto colon = authority.rfind(':');
  const auto bracket = authority.rfind(']');
  return colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
}

}  // namespace

Result<EngineAddress> parse_docker_host(std::string_view docker_host) {
  constexpr std::string_view k_unix = "unix://";
  if (docker_host.empty()) {
    return EngineAddress{.unix_socket = std::string(k_default_socket), .base_url = "http://docker"};
  }
  if (docker_host.starts_with(k_unix)) {
    const auto path = docker_host.substr(k_unix.size());
    if (!path.starts_with('/')) {
      return failure(ErrorKind::invalid_input, "DOCKER_HOST: the socket's path must be absolute");
    }
    return EngineAddress{.unix_socket = std::string(path), .base_url = "http://docker"};
  }
  for (const std::string_view scheme : {"tcp://", "http://"}) {
    if (!docker_host.starts_with(scheme)) {
      continue;
    }
    std::string authority(docker_host.substr(scheme.size()));
    if (authority.ends_with('/')) {
      authority.pop_back();
    }
    if (authority.empty() || authority.find_first_of("/@? ") != std::string::npos) {
      break;
    }
    if (!has_port(authority)) {
      authority += ':';
      authority += k_default_port;
    }
    return EngineAddress{.unix_socket = {}, .base_url = "http://" + authority};
  }
  return failure(ErrorKind::invalid_input,
                 "DOCKER_HOST must be unix:///path/to/socket or tcp://host:port");
}

}  // namespace builder::adapters::docker
