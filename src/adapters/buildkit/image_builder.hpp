#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "ports/image_builder.hpp"

#include <map>
#include <memory>
#include <string>

namespace builder::adapters::buildkit {

struct RegistryLogin {
  std::string user;
  Secret password;
};

struct Config {
  /// `unix:///path` or `tcp://host:port` (plain) of a Docker Engine; DOCKER_HOST.
  std::string engine = "unix:///var/run/docker.sock";
  /// Stands before the service id in the key of the context's incremental copy at the engine.
  std::string shared_key_prefix = "deployra-builder:";
  /// Logins for base images by the registry's API host and port, exactly as the daemon asks (Docker
  /// Hub: `registry-1.docker.io`). None: anonymous.
  std::map<std::string, RegistryLogin> logins;
};

/// Builds images with the BuildKit inside a Docker Engine. `invalid_input` when the address is
/// malformed; the engine itself is first contacted by `prepare` or `build`. Both may be called from
/// several threads at once. The destructor waits until the last build's session is closed; no build
/// may be running then.
Result<std::unique_ptr<ports::ImageBuilder>> make_image_builder(Config config, Log log);

}  // namespace builder::adapters::buildkit
