#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "adapters/buildkit/compression.hpp"
#include "adapters/buildkit/image_epoch.hpp"
#include "adapters/docker/engine.hpp"
#include "adapters/oci/client.hpp"
#include "adapters/oci/retrying_push.hpp"
#include "ports/image_builder.hpp"
#include "ports/image_exporter.hpp"
#include "ports/registry.hpp"
#include "ports/registry_login.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// What a built image needs on its way into the registry; all of them outlive the builder.
struct PublishPeers {
  Solver& solver;
  ports::Registry& registry;
  ports::RegistryLogins& logins;
  oci::PushPatience patience = {};
};

/// On a Docker Engine with the old image store: the solve leaves an image at the Engine, whose push
/// API brings it into the registry, as it packs it. What is left there is removed by `clean_up`.
/// On an Engine that exports to registries it does as `direct`.
std::unique_ptr<ports::ImageBuilder> make_engine_image_builder(
    PublishPeers peers, docker::Engine& engine, std::unique_ptr<ports::ImageBuilder> direct);

/// On an engine that exports to registries: it pushes while it exports, with the session's login,
/// and keeps no image. Media types are OCI's.
std::unique_ptr<ports::ImageBuilder> make_direct_image_builder(PublishPeers peers,
                                                               Compression compression,
                                                               ImageEpoch epoch);

/// An engine of several that export to registries, and the platform that it is for.
struct PlatformEngine {
  std::string platform;
  Solver& solver;
};

/// Builds for each platform on its own engine, all at once, and writes the index of their images
/// into the registry when the last one is there. What no engine is for is built by the first one,
/// and an image for one platform as `make_direct_image_builder` does it. The engine that runs
/// everything else is that of `peers`. `client` outlives the builder.
std::unique_ptr<ports::ImageBuilder> make_several_engines_builder(
    std::vector<PlatformEngine> engines, PublishPeers peers, oci::Client& client,
    Compression compression, ImageEpoch epoch);

/// Where images are left on this machine.
struct ExportPeers {
  Solver& solver;
  docker::Engine* docker = nullptr;  ///< Takes images; null: there is none.
  bool docker_builds = false;        ///< The solver's engine is that Docker Engine.
  std::string folder;                ///< For an archive on its way from one to the other. Writable.
  /// Of what is made in another way than for a registry as well.
  ImageEpoch epoch = ImageEpoch::off;
};

/// Any engine that builds, and a Docker Engine that keeps what was built.
std::unique_ptr<ports::ImageExporter> make_image_exporter(ExportPeers peers);

/// An engine that knows an image when it is built, and not before, what machines it is for.
struct KeepingEngine {
  Solver& solver;
  docker::Engine& docker;
};

/// Refuses an image (`id` at the Engine) for other machines than the platform's. Newer frontends
/// say while they build that a base image is for those.
Result<> check_machines(const ports::JobContext& job, const KeepingEngine& engine,
                        const ports::ImageSpec& image, const std::string& id);

/// All names of an image, as the exporters read them.
std::string names_of(const ports::ImageSpec& image);

/// The solve of an image on an engine that pushes it under all its names.
SolveSpec pushing_solve_of(const ports::ImageSpec& image, const Compression& compression,
                           ImageEpoch epoch);

/// Runs it until the registry has taken the image, as far as `RetryingPush` goes.
Result<Solved> solve_and_push(const PublishPeers& peers, const ports::JobContext& job,
                              const ports::Repository& repository, const SolveSpec& spec,
                              domain::EventSink& events);

/// The solve of an image but for its exporter, the same for every way to leave it somewhere.
SolveSpec solve_of(const ports::ImageSpec& image, ImageEpoch epoch);

}  // namespace builder::adapters::buildkit
