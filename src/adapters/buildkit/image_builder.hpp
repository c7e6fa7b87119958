#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "adapters/buildkit/compression.hpp"
#include "adapters/buildkit/image_epoch.hpp"
#include "adapters/docker/engine.hpp"
#include "ports/image_builder.hpp"
#include "ports/registry.hpp"
#include "ports/registry_login.hpp"

#include <memory>

namespace builder::adapters::buildkit {

/// What a built image needs on its way into the registry; all of them outlive the builder.
struct PublishPeers {
  Solver& solver;
  ports::Registry& registry;
  ports::RegistryLogins& logins;
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

}  // namespace builder::adapters::buildkit
