#include "adapters/git/address_policy.hpp"

#include "base/ascii.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
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

namespace {

/// Only what nobody reads as something else: git and its library end a host at other marks than we
/// do, and make other names of escapes and of letters beyond ASCII.
bool is_name(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.');
  });
}

/// What may stand in brackets.
bool is_address(std::string_view host) {
  return host.contains(':') &&
         host.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

/// A name that only the proxy can resolve must not be waited for.
constexpr std::chrono::seconds k_proxied_lookup{3};

}  // namespace

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
  const std::string_view authority = url.substr(0, url.find('/'));
  if (authority.contains('@')) {
    return failure(ErrorKind::invalid_input, "URL with credentials");
  }
  std::size_t port_colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    endpoint.host = authority.substr(0, close).substr(1);
    port_colon = authority.find(':', close);
    if (close == std::string_view::npos || !is_address(endpoint.host) ||
        (port_colon != std::string_view::npos ? port_colon : authority.size()) != close + 1) {
      return failure(ErrorKind::invalid_input, "malformed host");
    }
  } else {
    endpoint.host = authority.substr(0, port_colon);
    if (!is_name(endpoint.host)) {
      return failure(ErrorKind::invalid_input, "malformed host");
    }
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
  return endpoint;
}

namespace {

Error unusable(const Endpoint& endpoint, std::string_view why) {
  return {.kind = ErrorKind::invalid_input,
          .message = fmt::format("{} {}", endpoint.origin(), why),
          .customer = fmt::format(
              "The git host {} is unknown, or not allowed for this builder (network policy); check "
              "its name, or use a public https address",
              endpoint.host.substr(0, 60))};
}

}  // namespace

Error not_allowed(const Endpoint& endpoint, std::string_view why) {
  return unusable(
      endpoint,
      fmt::format("{}, which GIT_NETWORK_POLICY and GIT_ALLOWED_HOSTS do not allow", why));
}

Error unknown_host(const Endpoint& endpoint) {
  return unusable(endpoint, "is unknown to the resolver");
}

Result<CheckedEndpoint> check_addresses(const Endpoint& endpoint,
                                        const std::vector<Address>& addresses, NetworkPolicy policy,
                                        const AllowedHosts& allowed) {
  CheckedEndpoint checked{
      .endpoint = endpoint, .addresses = {}, .plain_http = endpoint.scheme == "http"};
  for (const Address& address : addresses) {
    const AddressClass kind = classify(address.get());
    const bool readable_on_the_way =
        checked.plain_http && kind == AddressClass::public_address && policy != NetworkPolicy::any;
    const bool is_refused = readable_on_the_way || !is_allowed(kind, policy);
    if (is_refused && !allowed.allows(endpoint.host, address)) {
      return std::unexpected(not_allowed(endpoint, "has the address " + address.numeric()));
    }
    checked.addresses.push_back(address.numeric());
  }
  return checked;
}

Result<CheckedEndpoint> check_host(const std::string& url, const HostRules& rules,
                                   Resolver& resolver, const ports::JobContext& job) {
  BUILDER_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(url));
  Secret proxy(rules.proxies.for_url(url));
  if (proxy.empty()) {
    const auto addresses = resolver.lookup(endpoint.host, job);
    if (!addresses) {
      return std::unexpected(addresses.error().kind == ErrorKind::not_found ? unknown_host(endpoint)
                                                                            : addresses.error());
    }
    return check_addresses(endpoint, *addresses, rules.policy, rules.allowed);
  }
  // The proxy resolves the name, and may be the only one that can. What it stands for here is
  // checked all the same: it keeps the builder's own neighbours from being asked through it.
  const auto addresses = resolver.lookup(endpoint.host, job.within(k_proxied_lookup));
  CheckedEndpoint checked{
      .endpoint = endpoint, .addresses = {}, .plain_http = endpoint.scheme == "http"};
  if (addresses) {
    BUILDER_TRY_ASSIGN(checked, check_addresses(endpoint, *addresses, rules.policy, rules.allowed));
    checked.addresses.clear();
  } else if (addresses.error().kind == ErrorKind::cancelled) {
    return std::unexpected(addresses.error());
  } else if (checked.plain_http && rules.policy == NetworkPolicy::public_only &&
             !rules.allowed.names(endpoint.host)) {
    return std::unexpected(not_allowed(endpoint, "is asked over http"));
  }
  checked.proxy = std::move(proxy);
  return checked;
}

}  // namespace builder::adapters::git
