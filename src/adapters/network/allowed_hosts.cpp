#include "adapters/network/allowed_hosts.hpp"

#include "adapters/network/address_class.hpp"
#include "base/ascii.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

namespace builder::adapters::network {

namespace {

constexpr std::string_view k_blank = " \t";
constexpr std::size_t k_v4_at = 12;
constexpr unsigned k_v4_bits = 96;
constexpr IpBytes k_mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/// An address as everybody writes it: no octal, no single number.
std::optional<IpBytes> parse_address(const std::string& text) {
  IpBytes bytes = k_mapped;
  if (::inet_pton(AF_INET, text.c_str(), &bytes.at(k_v4_at)) == 1 ||
      ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    return bytes;
  }
  return std::nullopt;
}

IpBytes bytes_of(const Address& address) {
  IpBytes bytes = k_mapped;
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    std::memcpy(&bytes.at(k_v4_at), &v4.sin_addr, sizeof v4.sin_addr);
  } else {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  }
  return bytes;
}

IpBytes without_host_part(IpBytes address, unsigned bits) {
  for (std::size_t at = 0; at < address.size(); ++at) {
    const unsigned kept = std::min(8u, bits - std::min(bits, static_cast<unsigned>(at) * 8u));
    address.at(at) &= static_cast<unsigned char>(0xFF00u >> kept);
  }
  return address;
}

bool is_name(std::string_view host) {
  constexpr std::size_t k_longest = 253;
  constexpr std::size_t k_longest_label = 63;
  if (host.empty() || host.size() > k_longest) {
    return false;
  }
  for (std::size_t begin = 0; begin <= host.size();) {
    const std::size_t end = std::min(host.find('.', begin), host.size());
    const std::string_view label = host.substr(begin, end - begin);
    const bool is_label = std::ranges::all_of(label, [](unsigned char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!is_label || label.empty() || label.size() > k_longest_label) {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

/// Names whose last part is a number are addresses to whoever looks them up.
bool is_number(std::string_view host) {
  const std::string_view last = host.substr(host.rfind('.') + 1);
  return last.find_first_not_of("0123456789") == std::string_view::npos ||
         (last.starts_with("0x") &&
          last.find_first_not_of("0123456789abcdef", 2) == std::string_view::npos);
}

std::unexpected<Error> wrong(const std::string& entry, std::string_view what) {
  return failure(ErrorKind::invalid_input, fmt::format("has '{}', which {}", entry, what));
}

bool is_v4(const IpBytes& address) {
  return std::equal(k_mapped.begin(), k_mapped.begin() + k_v4_at, address.begin());
}

bool contains(const IpNetwork& network, const IpBytes& address) {
  return is_v4(network.address) == is_v4(address) &&
         without_host_part(address, network.bits) == network.address;
}

Result<IpNetwork> parse_network(const std::string& entry) {
  const std::size_t slash = entry.find('/');
  const auto address = parse_address(entry.substr(0, slash));
  unsigned bits = 0;
  const char* const begin = entry.data() + slash + 1;
  const char* const end = entry.data() + entry.size();
  const auto [stopped, error] = std::from_chars(begin, end, bits);
  const bool has_v4_form = !entry.contains(':');
  if (!address || error != std::errc() || stopped != end || bits > (has_v4_form ? 32u : 128u)) {
    return wrong(entry, "is no network such as 10.1.0.0/16 or fd00:1::/64");
  }
  if (bits == 0) {
    return wrong(entry, "is every address: GIT_NETWORK_POLICY=any allows all");
  }
  const IpNetwork network{.address = *address, .bits = bits + (has_v4_form ? k_v4_bits : 0u)};
  if (without_host_part(network.address, network.bits) != network.address) {
    return wrong(entry, "has bits behind its prefix: write the first address of the network");
  }
  return network;
}

}  // namespace

Result<> AllowedHosts::add(const std::string& entry) {
  constexpr std::string_view k_wildcard = "*.";
  if (entry.contains("://")) {
    return wrong(entry, "is a URL: write its host alone");
  }
  if (entry.contains('/')) {
    BUILDER_TRY_ASSIGN(const IpNetwork network, parse_network(entry));
    networks_.push_back(network);
    return {};
  }
  const bool is_bracketed = entry.starts_with('[') && entry.ends_with(']');
  if (const auto address =
          parse_address(is_bracketed ? entry.substr(1, entry.size() - 2) : entry)) {
    addresses_.push_back(*address);
    return {};
  }
  if (entry.contains(':')) {
    return wrong(entry, "has a port, or is no address: write the host alone");
  }
  const bool is_domain = entry.starts_with(k_wildcard);
  const std::string host = is_domain ? entry.substr(k_wildcard.size()) : entry;
  if (!is_name(host) || is_number(host)) {
    return wrong(entry,
                 "is no host name, address or network (a '*.' may stand at the beginning of a name "
                 "only)");
  }
  (is_domain ? domains_ : hosts_).push_back(is_domain ? "." + host : host);
  return {};
}

Result<AllowedHosts> AllowedHosts::parse(std::string_view list) {
  AllowedHosts allowed;
  while (!list.empty()) {
    const std::string_view part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(part.size() + 1, list.size()));
    const std::string entry = lower_case(trimmed(part, k_blank));
    if (!entry.empty()) {
      BUILDER_TRY(allowed.add(entry));
    }
  }
  return allowed;
}

bool AllowedHosts::names(std::string_view host) const {
  return std::ranges::find(hosts_, host) != hosts_.end() ||
         std::ranges::any_of(domains_,
                             [&](const std::string& domain) { return host.ends_with(domain); });
}

bool AllowedHosts::allows(std::string_view host, const Address& address) const {
  const IpBytes bytes = bytes_of(address);
  if (std::ranges::find(addresses_, bytes) != addresses_.end()) {
    return true;
  }
  if (classify(address.get()) == AddressClass::forbidden) {
    return false;
  }
  return names(host) || std::ranges::any_of(networks_, [&](const IpNetwork& network) {
           return contains(network, bytes);
         });
}

}  // namespace builder::adapters::network
