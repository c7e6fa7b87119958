#pragma once

#include "adapters/http/proxy.hpp"
#include "adapters/network/address_class.hpp"
#include "adapters/network/allowed_hosts.hpp"
#include "adapters/network/resolver.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::git {

using network::Address;
using network::AddressClass;
using network::AllowedHosts;
using network::classify;
using network::NetworkPolicy;
using network::Resolver;

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
  std::vector<std::string> addresses;  ///< All of them were checked; git connects to no other.
  bool plain_http = false;
  Secret proxy = {};  ///< URL of the proxy to go through; empty: none.

  /// `host:port:address,…` as libcurl pins a name to addresses; empty for a host that is one.
  [[nodiscard]] std::string pinned() const;
};

/// The refusal of an endpoint; `why` is the operator's.
Error not_allowed(const Endpoint& endpoint, std::string_view why);

/// That of a host that nobody knows. The customer's line is the same as above: which names and
/// addresses the operator's networks have is not told.
Error unknown_host(const Endpoint& endpoint);

/// Whether git may connect to the host. One address that is not allowed is enough for
/// `invalid_input`, with the customer's line set. What the operator has named in `allowed` is asked
/// as under the policy `any`.
Result<CheckedEndpoint> check_addresses(const Endpoint& endpoint,
                                        const std::vector<Address>& addresses, NetworkPolicy policy,
                                        const AllowedHosts& allowed);

/// Where git may connect to.
struct HostRules {
  NetworkPolicy policy = NetworkPolicy::private_networks;
  const AllowedHosts& allowed;
  const http::Proxies& proxies;
};

/// The endpoint of a URL, looked up and checked, with the proxy that leads there.
Result<CheckedEndpoint> check_host(const std::string& url, const HostRules& rules,
                                   Resolver& resolver, const ports::JobContext& job);

}  // namespace builder::adapters::git
