#pragma once

#include "base/secret.hpp"
#include "domain/deployment_request.hpp"

#include <array>
#include <cstddef>

namespace builder::domain {

/// Who shares the cache mounts of Dockerfiles (`RUN --mount=type=cache`) with whom.
enum class CacheSharing {
  service,
  /// Services whose repositories have the same owner and are read at the same git host with the
  /// same account.
  organization,
  all,
};

/// The prefix of every cache mount's name in a build. Without the platform's key nobody can name
/// the namespace of another service, whatever a Dockerfile or its frontend asks for. Letters and
/// digits only.
struct CacheNamespaces {
  std::array<Secret, 3> dockerfiles;  ///< By who shares it: `dockerfile`.
  Secret buildpacks;  ///< Always of one service. No Dockerfile of a customer is built in it.
  Secret secrets;     ///< Of one service too; no name of anything, and never told an engine.

  [[nodiscard]] const Secret& dockerfile(CacheSharing sharing) const {
    return dockerfiles.at(static_cast<std::size_t>(sharing));
  }
};

/// The same on all workers that have the platform's `key`. Another key means empty caches and
/// nothing else.
CacheNamespaces cache_namespaces(const Secret& key, const DeploymentRequest& request);

}  // namespace builder::domain
