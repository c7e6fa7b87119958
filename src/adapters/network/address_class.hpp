#pragma once

#include <sys/socket.h>

namespace builder::adapters::network {

/// Where something of a customer's may connect to: `public_only` the internet, `private_networks`
/// the operator's networks too, `any` this machine as well.
enum class NetworkPolicy { public_only, private_networks, any };

enum class AddressClass { public_address, private_address, loopback, forbidden };

/// What kind of network an address belongs to. Link-local, metadata, multicast, unspecified, Teredo
/// and unassigned addresses are forbidden; IPv4 inside IPv6 (mapped, NAT64, 6to4) counts as what it
/// carries. What IANA calls not globally reachable is never public. Every address of this machine
/// (interfaces, bridges) is loopback.
AddressClass classify(const sockaddr& address);

/// What is forbidden is so under every policy.
bool is_allowed(AddressClass kind, NetworkPolicy policy);

}  // namespace builder::adapters::network
