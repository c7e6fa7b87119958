#include "adapters/network/address_class.hpp"

#include "base/fd.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace builder::adapters::network {

namespace {

using V6Bytes = std::array<unsigned char, 16>;

struct V4Network {
  std::uint32_t address;  ///< Host byte order.
  unsigned bits;
  AddressClass kind;
};

/// IANA's registry of special-purpose addresses and the metadata services. The first that holds an
/// address decides; what is in none is public.
constexpr auto k_v4_networks = std::to_array<V4Network>({
    {0x00000000, 8, AddressClass::forbidden},         // 0.0.0.0/8: this network
    {0x0A000000, 8, AddressClass::private_address},   // 10.0.0.0/8
    {0x646464C8, 32, AddressClass::forbidden},        // 100.100.100.200: metadata (Alibaba)
    {0x64400000, 10, AddressClass::private_address},  // 100.64.0.0/10: shared
    {0x7F000000, 8, AddressClass::loopback},          // 127.0.0.0/8
    {0xA83F8110, 32, AddressClass::forbidden},        // 168.63.129.16: metadata (Azure)
    {0xA9FE0000, 16, AddressClass::forbidden},        // 169.254.0.0/16: link-local, metadata
    {0xAC100000, 12, AddressClass::private_address},  // 172.16.0.0/12
    {0xC0000000, 24, AddressClass::forbidden},        // 192.0.0.0/24: protocols, metadata (Oracle)
    {0xC0000200, 24, AddressClass::private_address},  // 192.0.2.0/24: documentation
    {0xC0586300, 24, AddressClass::private_address},  // 192.88.99.0/24: was the 6to4 relay
    {0xC0A80000, 16, AddressClass::private_address},  // 192.168.0.0/16
    {0xC6120000, 15, AddressClass::private_address},  // 198.18.0.0/15: benchmarks
    {0xC6336400, 24, AddressClass::private_address},  // 198.51.100.0/24: documentation
    {0xCB007100, 24, AddressClass::private_address},  // 203.0.113.0/24: documentation
    {0xE0000000, 3, AddressClass::forbidden},         // 224.0.0.0/3: multicast, reserved, broadcast
});

/// What an IPv6 network says about its addresses: their class, or where an IPv4 address is in them.
struct V6Network {
  std::array<unsigned char, 12> prefix;
  unsigned bits;
  AddressClass kind;
  std::size_t carried_at = 0;  ///< The IPv4 address's first byte; 0: there is none.
};

/// As above. The class of a network that carries IPv4 is the most that it grants.
constexpr auto k_v6_networks = std::to_array<V6Network>({
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96, AddressClass::public_address, 12},  // mapped
    {{0, 0x64, 0xFF, 0x9B}, 96, AddressClass::public_address, 12},  // 64:ff9b::/96: NAT64
    // The operator's own NAT64 (RFC 8215), read as it is mostly laid out, with a /96.
    {{0, 0x64, 0xFF, 0x9B, 0, 1}, 48, AddressClass::private_address, 12},
    {{0x01, 0x00}, 63, AddressClass::forbidden},                // 100::/64: discard; 100:0:0:1::/64
    {{0x20, 0x02}, 16, AddressClass::public_address, 2},        // 2002::/16: 6to4
    {{0x20, 0x01, 0, 0}, 32, AddressClass::forbidden},          // 2001::/32: Teredo, two IPv4 in it
    {{0x20, 0x01, 0, 0x03}, 32, AddressClass::public_address},  // AMT
    {{0x20, 0x01, 0, 0x04, 1, 0x12}, 48, AddressClass::public_address},  // AS112
    {{0x20, 0x01, 0, 0x20}, 28, AddressClass::public_address},           // ORCHIDv2
    {{0x20, 0x01, 0, 0x30}, 28, AddressClass::public_address},           // drones' identities
    {{0x20, 0x01, 0, 0}, 23, AddressClass::private_address},             // protocols' assignments
    {{0x20, 0x01, 0x0D, 0xB8}, 32, AddressClass::private_address},       // documentation
    {{0x3F, 0xFF, 0}, 20, AddressClass::private_address},                // documentation
    {{0x20}, 3, AddressClass::public_address},                           // 2000::/3: the internet
    {{0x5F, 0}, 16, AddressClass::private_address},           // 5f00::/16: segment routing
    {{0xFD, 0x00, 0x0E, 0xC2}, 32, AddressClass::forbidden},  // fd00:ec2::/32: metadata (AWS)
    {{0xFD, 0x20, 0x00, 0xCE}, 32, AddressClass::forbidden},  // fd20:ce::/32: metadata (Google)
    {{0xFC}, 7, AddressClass::private_address},               // fc00::/7: unique local
    {{0xFE, 0xC0}, 10, AddressClass::private_address},        // fec0::/10: was site-local
});

bool in_network(std::uint32_t address, const V4Network& network) {
  return (address ^ network.address) >> (32u - network.bits) == 0;
}

bool in_network(const V6Bytes& address, const V6Network& network) {
  const std::size_t whole = network.bits / 8;
  const unsigned rest = 8u - network.bits % 8;
  return std::memcmp(address.data(), network.prefix.data(), whole) == 0 &&
         (rest == 8u || (address.at(whole) ^ network.prefix.at(whole)) >> rest == 0);
}

/// Whether the kernel would answer this address itself: it then takes the address as its own end of
/// the way there. Nothing is sent. Asked each time, as bridges come and go; unlike a list of the
/// interfaces it needs no netlink and knows local routes.
template <typename Sockaddr>
bool is_own(const Sockaddr& address, int family) {
  const Fd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) {
    return true;  // Nothing is known: closed rather than open.
  }
  Sockaddr here{};
  socklen_t size = sizeof here;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&here), &size) != 0) {
    return false;
  }
  if constexpr (std::is_same_v<Sockaddr, sockaddr_in>) {
    return here.sin_addr.s_addr == address.sin_addr.s_addr;
  } else {
    return std::memcmp(&here.sin6_addr, &address.sin6_addr, sizeof here.sin6_addr) == 0;
  }
}

bool is_own_v4(std::uint32_t a) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(a);
  return is_own(address, AF_INET);
}

bool is_own_v6(const V6Bytes& bytes) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(9);
  std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
  return is_own(address, AF_INET6);
}

bool may_be_own(AddressClass kind) {
  return kind == AddressClass::public_address || kind == AddressClass::private_address;
}

AddressClass classify_v4(std::uint32_t address) {
  const auto* const network = std::ranges::find_if(
      k_v4_networks, [&](const V4Network& candidate) { return in_network(address, candidate); });
  const AddressClass kind =
      network == k_v4_networks.end() ? AddressClass::public_address : network->kind;
  return may_be_own(kind) && is_own_v4(address) ? AddressClass::loopback : kind;
}

std::uint32_t four_bytes(const V6Bytes& bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes.at(at)) << 24u |
         static_cast<std::uint32_t>(bytes.at(at + 1)) << 16u |
         static_cast<std::uint32_t>(bytes.at(at + 2)) << 8u |
         static_cast<std::uint32_t>(bytes.at(at + 3));
}

AddressClass classify_v6(const V6Bytes& address) {
  constexpr V6Bytes k_loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  if (address == k_loopback) {
    return AddressClass::loopback;
  }
  const auto* const network = std::ranges::find_if(
      k_v6_networks, [&](const V6Network& candidate) { return in_network(address, candidate); });
  if (network == k_v6_networks.end()) {
    return AddressClass::forbidden;  // Link-local, multicast, unspecified, not given out.
  }
  if (may_be_own(network->kind) && is_own_v6(address)) {
    return AddressClass::loopback;
  }
  if (network->carried_at == 0) {
    return network->kind;
  }
  const AddressClass carried = classify_v4(four_bytes(address, network->carried_at));
  return carried == AddressClass::public_address ? network->kind : carried;
}

}  // namespace

AddressClass classify(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return classify_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    V6Bytes bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return classify_v6(bytes);
  }
  return AddressClass::forbidden;
}

bool is_allowed(AddressClass kind, NetworkPolicy policy) {
  switch (kind) {
    case AddressClass::forbidden:
      return false;
    case AddressClass::loopback:
      return policy == NetworkPolicy::any;
    case AddressClass::private_address:
      return policy != NetworkPolicy::public_only;
    case AddressClass::public_address:
      return true;
  }
  return false;
}

}  // namespace builder::adapters::network
