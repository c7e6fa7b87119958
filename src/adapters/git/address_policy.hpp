#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

struct sockaddr;

namespace builder::adapters::git {

enum class NetworkPolicy { public_only, private_networks, any };

enum class AddressClass { public_address, private_address, loopback, forbidden };

/// What kind of network an address belongs to. Link-local, metadata, multicast and unspecified
/// addresses are forbidden; IPv4 inside IPv6 (mapped, NAT64) counts as what it carries.
AddressClass classify(const sockaddr& address);

struct Endpoint {
  std::string scheme;
  std::string host;  ///< Without brackets.
  std::uint16_t port = 0;

  /// `scheme://host[:port]` as a URL has it.
  [[nodiscard]] std::string origin() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// The endpoint of an http(s) URL without credentials.
Result<Endpoint> parse_endpoint(std::string_view url);

struct CheckedEndpoint {
  Endpoint endpoint;
  std::string address;  ///< The one address that was checked, for git to connect to.
  bool plain_http = false;
};

/// Resolves the host and checks every address it has. `invalid_input` with the customer's line when one
/// is not allowed, `unavailable` when the name does not resolve.
Result<CheckedEndpoint> check_endpoint(const Endpoint& endpoint, NetworkPolicy policy);

}  // namespace builder::adapters::git
