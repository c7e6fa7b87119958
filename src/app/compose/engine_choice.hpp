#pragma once

#include "app/config/config.hpp"
#include "base/result.hpp"

#include <string>

namespace builder::app {

/// What connect(2) says of a unix socket; 0: somebody listens.
int connect_error(const std::string& path);

/// The engine of a build that a person starts by hand.
struct EngineChoice {
  std::string setting;  ///< "DOCKER_HOST" or "BUILDKIT_HOST".
  std::string address;
  /// A line for whoever started it: which one, and why.
  std::string reason;
  /// With BuildKit, where DOCKER_HOST is not set: a Docker Engine that answers in a usual place, to
  /// take images; empty: none does.
  std::string keeper = {};
};

/// That of BUILDKIT_HOST or DOCKER_HOST; if neither is set, the first place where somebody listens:
/// Docker's socket, a rootless Docker's, buildkitd's, a rootless buildkitd's. A socket that is
/// Podman's is passed over: it takes no builds of BuildKit. `not_found` says where it was looked.
Result<EngineChoice> choose_engine(const EnvironmentLookup& environment);

}  // namespace builder::app
