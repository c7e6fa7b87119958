#include "adapters/network/address_class.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace builder::adapters::network {

namespace {

bool in_range(std::uint32_t address, std::uint32_t network, unsigned bits) {
  return (address ^ network) >> (32u - bits) == 0;
}

/// IANA special-purpose registry, host byte order.
AddressClass classify_v4(std::uint32_t a) {
  if (in_range(a, 0x7F000000, 8)) {
    return AddressClass::loopback;
  }
  // "This network", link-local (metadata services), multicast and reserved, Alibaba's metadata
  // service.
  if (in_range(a, 0x00000000, 8) || in_range(a, 0xA9FE0000, 16) || in_range(a, 0xE0000000, 3) ||
      // … Oracle's and Azure's.
      in_range(a, 0xC0000000, 24) || a == 0x646464C8 || a == 0xA83F8110) {
    return AddressClass::forbidden;
  }
  if (in_range(a, 0x0A000000, 8) || in_range(a, 0xAC100000, 12) || in_range(a, 0xC0A80000, 16) ||
      in_range(a, 0x64400000, 10) || in_range(a, 0xC6120000, 15)) {
    return AddressClass::private_address;
  }
  return AddressClass::public_address;
}

std::uint32_t last_four(const std::array<unsigned char, 16>& bytes) {
  return static_cast<std::uint32_t>(bytes[12]) << 24u |
         static_cast<std::uint32_t>(bytes[13]) << 16u |
         static_cast<std::uint32_t>(bytes[14]) << 8u | static_cast<std::uint32_t>(bytes[15]);
}

AddressClass classify_v6(const std::array<unsigned char, 16>& b) {
  constexpr std::array<unsigned char, 12> k_mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  constexpr std::array<unsigned char, 12> k_nat64{0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0};
  constexpr std::array<unsigned char, 12> k_zero{};
  if (std::memcmp(b.data(), k_mapped.data(), 12) == 0 ||
      std::memcmp(b.data(), k_nat64.data(), 12) == 0) {
    return classify_v4(last_four(b));
  }
  if (std::memcmp(b.data(), k_zero.data(), 12) == 0) {
    return last_four(b) == 1 ? AddressClass::loopback : AddressClass::forbidden;
  }
  if (b[0] == 0x20 && b[1] == 0x02) {  // 6to4
    return classify_v4(static_cast<std::uint32_t>(b[2]) << 24u |
                       static_cast<std::uint32_t>(b[3]) << 16u |
                       static_cast<std::uint32_t>(b[4]) << 8u | static_cast<std::uint32_t>(b[5]));
  }
  // fd00:ec2::254 is AWS's metadata service, fd20:ce::254 Google's.
  constexpr std::array<unsigned char, 4> k_aws{0xFD, 0x00, 0x0E, 0xC2};
  constexpr std::array<unsigned char, 4> k_google{0xFD, 0x20, 0x00, 0xCE};
  if (b[0] == 0xFF || (b[0] == 0xFE && (b[1] & 0xC0u) == 0x80) ||
      std::memcmp(b.data(), k_aws.data(), 4) == 0 ||
      std::memcmp(b.data(), k_google.data(), 4) == 0) {
    return AddressClass::forbidden;
  }
  if ((b[0] & 0xFEu) == 0xFC || (b[0] == 0xFE && (b[1] & 0xC0u) == 0xC0)) {
    return AddressClass::private_address;
  }
  return AddressClass::public_address;
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
    std::array<unsigned char, 16> bytes{};
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
