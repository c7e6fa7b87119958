#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "adapters/cnb/bindings.hpp"
#include "adapters/docker/engine.hpp"
#include "adapters/docker/engine_address.hpp"
#include "adapters/oci/client.hpp"
#include "adapters/oci/retrying_push.hpp"
#include "adapters/policy/gate.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/registry.hpp"
#include "ports/registry_login.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace builder::adapters::cnb {

struct PlatformSettings {
  /// Builders that get the registry login; all others run phase by phase.
  std::vector<std::string> trusted_builders;
  std::string run_image;        ///< Empty: the builder's own choice.
  std::string lifecycle_image;  ///< Of untrusted builders; `{version}` is the builder's.
  bool host_network = false;    ///< The build reaches what listens on the host's loopback.
  std::vector<BindingValue> bindings;
  docker::EngineAddress keeper;  ///< Of `PlatformPeers::keeper`.
  bool commit_epoch = false;     ///< Images say that they were made when the commit was.
  bool refuses_emulation = false;
};

/// What a build talks to; all of them outlive the platform.
struct PlatformPeers {
  buildkit::Solver& solver;
  oci::Client& images;
  ports::Registry& registry;
  ports::RegistryLogins& logins;
  oci::PushPatience patience = {};
  /// What images builds may be made of: builder, run image and lifecycle. Null: all.
  policy::Gate* gate = nullptr;
  docker::Engine* keeper = nullptr;  ///< Takes images that go to no registry. Null: nobody does.
  /// By their platforms: where images for those are built. `solver` builds what none of them is
  /// for.
  std::map<std::string, buildkit::Solver*> engines = {};
};

/// A Cloud Native Buildpacks platform on BuildKit: one solve of a generated Dockerfile runs the
/// lifecycle, which puts the image straight into the registry: no `pack`, no Docker socket in the
/// build, no image at the engine. For several platforms the lifecycle runs for each, and the images
/// become one index (`several_platforms`). An image for a `keeper` goes through the session to that
/// Engine's socket, which only the lifecycle can open.
std::unique_ptr<ports::BuildpacksBuilder> make_platform(PlatformSettings settings,
                                                        PlatformPeers peers);

}  // namespace builder::adapters::cnb
