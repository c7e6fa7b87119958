#include "adapters/git/address_policy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>

namespace builder::adapters::git {

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

bool is_allowed(AddressClass kind, bool plain_http, NetworkPolicy policy) {
  switch (kind) {
    case AddressClass::forbidden:
      return false;
    case AddressClass::loopback:
      return policy == NetworkPolicy::any;
    case AddressClass::private_address:
      return policy != NetworkPolicy::public_only;
    case AddressClass::public_address:
      return !plain_http || policy == NetworkPolicy::any;
  }
  return false;
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

std::string Endpoint::origin() const {
  const bool standard = (scheme == "https" && port == 443) || (scheme == "http" && port == 80);
  const std::string name = host.contains(':') ? "[" + host + "]" : host;
  return scheme + "://" + name + (standard ? "" : ":" + std::to_string(port));
}

std::string CheckedEndpoint::pinned() const {
  std::string list;
  for (const std::string& address : addresses) {
    list += list.empty() ? "" : ",";
    list += address.contains(':') ? "[" + address + "]" : address;
  }
  const bool literal = list == endpoint.host || list == "[" + endpoint.host + "]";
  return list.empty() || literal ? std::string()
                                 : endpoint.host + ":" + std::to_string(endpoint.port) + ":" + list;
}

Result<Endpoint> parse_endpoint(std::string_view url) {
  Endpoint endpoint;
  if (url.starts_with("https://")) {
    endpoint.scheme = "https";
    endpoint.port = 443;
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    endpoint.scheme = "http";
    endpoint.port = 80;
    url.remove_prefix(7);
  } else {
    return failure(ErrorKind::invalid_input, "not an http(s) URL");
  }
  std::string_view authority = url.substr(0, url.find('/'));
  if (authority.contains('@')) {
    return failure(ErrorKind::invalid_input, "URL with credentials");
  }
  std::size_t port_colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) {
      return failure(ErrorKind::invalid_input, "malformed host");
    }
    endpoint.host = authority.substr(1, close - 1);
    port_colon = close + 1 < authority.size() ? close + 1 : std::string_view::npos;
  } else {
    endpoint.host = authority.substr(0, port_colon);
  }
  if (port_colon != std::string_view::npos) {
    const std::string_view digits = authority.substr(port_colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
    if (error != std::errc() || end != digits.data() + digits.size() || endpoint.port == 0) {
      return failure(ErrorKind::invalid_input, "malformed port");
    }
  }
  std::ranges::transform(endpoint.host, endpoint.host.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (endpoint.host.empty()) {
    return failure(ErrorKind::invalid_input, "URL without a host");
  }
  return endpoint;
}

Error not_allowed(const Endpoint& endpoint, std::string_view why) {
  return {
      .kind = ErrorKind::invalid_input,
      .message =
          endpoint.origin() + " " + std::string(why) + ", which GIT_NETWORK_POLICY does not allow",
      .customer = "The git host " + endpoint.host.substr(0, 60) +
                  " is not allowed for this builder (network policy); use a public https address"};
}

Result<CheckedEndpoint> check_addresses(const Endpoint& endpoint,
                                        const std::vector<Address>& addresses,
                                        NetworkPolicy policy) {
  CheckedEndpoint checked{
      .endpoint = endpoint, .addresses = {}, .plain_http = endpoint.scheme == "http"};
  for (const Address& address : addresses) {
    if (!is_allowed(classify(address.get()), checked.plain_http, policy)) {
      return std::unexpected(not_allowed(endpoint, "has the address " + address.numeric()));
    }
    checked.addresses.push_back(address.numeric());
  }
  return checked;
}

}  // namespace builder::adapters::git
