#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace builder::adapters::oci {

/// How a registry wants to be asked, from WWW-Authenticate.
struct Challenge {
  enum class Scheme { basic, bearer };

  Scheme scheme = Scheme::basic;
  std::string realm;  ///< Bearer: where tokens are given out.
  std::string service;

  bool operator==(const Challenge&) const = default;
};

/// Bearer is preferred when both are offered; nullopt for other schemes and for nonsense.
std::optional<Challenge> parse_challenge(std::string_view header);

/// Whether the login of the registry at `host` may be shown to the token service at `realm`: over
/// https (or from loopback to loopback), and only on the registry's own host or one of the same
/// parent domain (`registry-1.docker.io` and `auth.docker.io`). Of an address, only itself. A
/// registry could otherwise send our login anywhere by naming a realm.
bool may_show_login(std::string_view host, std::string_view realm);

/// Whether the realm may be asked at all: https, or http between loopback addresses.
bool is_usable_realm(std::string_view host, std::string_view realm);

}  // namespace builder::adapters::oci
