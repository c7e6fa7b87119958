#pragma once

#include <memory>

#include "adapters/docker/engine_address.hpp"
#include "base/log.hpp"
#include "ports/image_builder.hpp"

namespace builder::adapters::buildkit {

struct BuildKitConfig {
  docker::EngineAddress engine;
};

/// Builds with the BuildKit inside a Docker Engine (20.10 or later), over its `/grpc` and `/session`.
/// When the Engine is lost during a build, waits for it up to 30 s and builds once more.
std::unique_ptr<ports::ImageBuilder> make_image_builder(BuildKitConfig config, Log log);

}  // namespace builder::adapters::buildkit
