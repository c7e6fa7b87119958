#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::docker {

/// Where the Engine listens, from DOCKER_HOST.
struct EngineAddress {
  std::string unix_socket;  ///< Empty: TCP.
  std::string base_url;     ///< `http://host[:port]`; a placeholder host for a socket.
};

/// `unix:///path`, `tcp://host[:port]` or `http://host[:port]`; empty is the default socket. TLS
/// (`https://`, DOCKER_TLS_VERIFY) is refused: the Engine is expected on this machine.
Result<EngineAddress> parse_docker_host(std::string_view docker_host);

}  // namespace builder::adapters::docker
