#include "domain/cache_namespaces.hpp"

#include "base/keyed_hash.hpp"

#include <initializer_list>
#include <string>
#include <string_view>

namespace builder::domain {

namespace {

/// Digits of hex: nobody guesses 128 bits.
constexpr std::size_t k_length = 32;

/// Each part with its length: a part can hold anything, and no two lists give the same text.
std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    text += std::to_string(part.size()) + ":";
    text += part;
  }
  return text;
}

Secret made(const Secret& key, std::string_view purpose, const std::string& whose) {
  const std::string hash =
      hmac_sha256_hex(key.reveal(), joined({"deployra-builder cache mounts", purpose}) + whose);
  return Secret(hash.substr(0, k_length));
}

std::string organization_of(const DeploymentRequest& request) {
  const std::string& name = request.repository_name;
  const std::string owner = name.substr(0, name.rfind('/'));
  if (!request.git_provider || owner.empty() || owner.size() == name.size()) {
    return joined({"service", request.service_id.str()});
  }
  const GitProvider& git = *request.git_provider;
  return joined({"organization", git.type == GitProviderType::github ? "github" : git.url,
                 git.username, owner});
}

}  // namespace

CacheNamespaces cache_namespaces(const Secret& key, const DeploymentRequest& request) {
  const std::string service = joined({"service", request.service_id.str()});
  constexpr std::string_view k_dockerfile = "Dockerfile";
  return {.dockerfiles = {made(key, k_dockerfile, service),
                          made(key, k_dockerfile, organization_of(request)),
                          made(key, k_dockerfile, joined({"all"}))},
          .buildpacks = made(key, "buildpacks", service),
          .secrets = made(key, "secrets", service)};
}

}  // namespace builder::domain
