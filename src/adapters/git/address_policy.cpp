#include "adapters/git/address_policy.hpp"

#include "base/ascii.hpp"

#include <charconv>

namespace builder::adapters::git {

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
  endpoint.host = lower_case(endpoint.host);
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
    const AddressClass kind = classify(address.get());
    const bool readable_on_the_way = checked.plain_http && kind == AddressClass::public_address;
    if (!is_allowed(kind, policy) || (readable_on_the_way && policy != NetworkPolicy::any)) {
      return std::unexpected(not_allowed(endpoint, "has the address " + address.numeric()));
    }
    checked.addresses.push_back(address.numeric());
  }
  return checked;
}

}  // namespace builder::adapters::git
