#pragma once

#include "adapters/network/resolver.hpp"
#include "base/result.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::network {

/// An address of either kind: IPv4 as IPv6 has it mapped.
using IpBytes = std::array<unsigned char, 16>;

struct IpNetwork {
  IpBytes address{};  ///< The first.
  unsigned bits = 0;  ///< Of `address`, that all of its addresses share.
};

/// Hosts, addresses and networks that the operator names: what is in the list may be connected to
/// although the policy alone refuses it. It never takes anything away from the policy.
class AllowedHosts {
 public:
  /// Comma-separated: `git.example.com`, `*.example.com` (every name below it), `10.1.2.3`,
  /// `10.1.0.0/16`, `fd00:1::/64`. `invalid_input` names the entry and what is wrong with it.
  static Result<AllowedHosts> parse(std::string_view list);

  /// Whether a host is in the list by its name, written in lower case.
  [[nodiscard]] bool names(std::string_view host) const;

  /// Whether an address of a host may be connected to. What is forbidden under every policy
  /// (metadata services, link-local) must be in the list itself, as an address: neither a network
  /// around it nor a name that leads there is enough.
  [[nodiscard]] bool allows(std::string_view host, const Address& address) const;

 private:
  Result<> add(const std::string& entry);

  std::vector<std::string> hosts_;
  std::vector<std::string> domains_;  ///< Each begins with its dot.
  std::vector<IpBytes> addresses_;
  std::vector<IpNetwork> networks_;
};

}  // namespace builder::adapters::network
