#include "domain/cache_namespaces.hpp"

#include "base/keyed_hash.hpp"
#include "domain/organization.hpp"

#include <string>
#include <string_view>

namespace builder::domain {

namespace {

/// Digits of hex: nobody guesses 128 bits.
constexpr std::size_t k_length = 32;

Secret made(const Secret& key, std::string_view purpose, const std::string& whose) {
  const std::string hash = hmac_sha256_hex(
      key.reveal(), with_lengths({"deployra-builder cache mounts", purpose}) + whose);
  return Secret(hash.substr(0, k_length));
}

}  // namespace

CacheNamespaces cache_namespaces(const Secret& key, const DeploymentRequest& request) {
  constexpr std::string_view k_dockerfile = "Dockerfile";
  const std::string service = with_lengths({"service", request.service_id.str()});
  // Who reads a repository without an account has not shown that it is theirs.
  const auto organization = request.git_provider ? organization_of(request) : std::nullopt;
  return {.dockerfiles = {made(key, k_dockerfile, service),
                          made(key, k_dockerfile, organization.value_or(service)),
                          made(key, k_dockerfile, with_lengths({"all"}))},
          .buildpacks = made(key, "buildpacks", service),
          .secrets = made(key, "secrets", service)};
}

}  // namespace builder::domain
