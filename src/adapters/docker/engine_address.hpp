#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::docker {

/// Where an engine listens: a Docker Engine or a standalone BuildKit. TCP is plain; TLS is a matter
/// of whoever connects.
struct EngineAddress {
  std::string socket;  ///< Absolute path of a unix socket; empty: TCP.
  std::string host;    ///< A name or an address; IPv6 without brackets.
  std::string port;

  [[nodiscard]] bool is_socket() const { return !socket.empty(); }

  /// `host:port`, IPv6 in brackets; of a TCP address.
  [[nodiscard]] std::string authority() const;
  /// As it is written in settings: `unix:///path` or `tcp://host:port`.
  [[nodiscard]] std::string str() const;

  bool operator==(const EngineAddress&) const = default;
};

/// `unix:///path` or `tcp://host:port`. `invalid_input` for anything else; the message goes on
/// behind the name of the setting ("must be …").
Result<EngineAddress> parse_engine_address(std::string_view text);

}  // namespace builder::adapters::docker
