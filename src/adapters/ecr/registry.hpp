#pragma once

#include "adapters/docker/engine.hpp"
#include "adapters/ecr/api.hpp"
#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "ports/registry.hpp"

#include <memory>
#include <string>

namespace builder::adapters::ecr {

struct RegistrySettings {
  int keep_images = 1;
};

/// ECR for repositories, policies and tokens; the Engine moves the bytes. Remembers for some
/// minutes which repositories exist, and the token for half of its life, so that a warm deployment
/// makes no call to ECR's API. Tokens are entered into `secrets` before they are used. `api`,
/// `engine` and `secrets` outlive it.
std::unique_ptr<ports::Registry> make_registry(RegistrySettings settings, Api& api,
                                               docker::Engine& engine, SecretStore& secrets,
                                               Log log);

}  // namespace builder::adapters::ecr
