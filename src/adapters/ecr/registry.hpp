#pragma once

#include "adapters/ecr/api.hpp"
#include "adapters/ecr/lifecycle_policy.hpp"
#include "adapters/ecr/logins.hpp"
#include "adapters/oci/client.hpp"
#include "base/log.hpp"
#include "ports/registry.hpp"

#include <memory>

namespace builder::adapters::ecr {

struct RegistrySettings {
  Retention kept;
  /// False: deployments are told by digest, and a tag `latest` that may not move is no failure.
  bool needs_latest = true;
};

/// ECR for repositories and policies; `latest` is moved with the registry's own protocol. Remembers
/// for some minutes which repositories exist, so that a warm deployment makes no call to ECR's API.
/// `api`, `logins` and `client` outlive it.
std::unique_ptr<ports::Registry> make_registry(RegistrySettings settings, Api& api, Logins& logins,
                                               oci::Client& client, Log log);

}  // namespace builder::adapters::ecr
