#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "adapters/docker/engine.hpp"
#include "adapters/http/client.hpp"
#include "adapters/oci/client.hpp"
#include "adapters/oci/retrying_push.hpp"
#include "app/config/config.hpp"
#include "app/host/work_dir.hpp"
#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "build/step_contract.hpp"
#include "ports/build_limits.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/image_builder.hpp"
#include "ports/registry.hpp"
#include "ports/source_fetcher.hpp"

#include <memory>
#include <stop_token>
#include <string>

namespace builder::app {

/// What a build finds on its way to the registries.
struct BuildPeers {
  ports::Registry& registry;
  ports::RegistryLogins& logins;
  adapters::oci::Client& oci;
  adapters::oci::PushPatience patience = {};
};

/// All that turns a source into an image: git, the engine, what holds its steps within limits, and
/// both ways to build. Needs the settings of `Concern::build`; knows neither queue nor platform.
/// Members are made in this order.
struct BuildParts {
  /// The arguments outlive it. Errors: a setting that cannot be used. No peer is asked.
  static Result<std::unique_ptr<BuildParts>> make(const Config& config, WorkDir& work,
                                                  adapters::http::Client& http, BuildPeers peers,
                                                  SecretStore& secrets, const Log& log);
  /// For a look at the engine alone: source, image and buildpacks stay null.
  static std::unique_ptr<BuildParts> make_engine(const Config& config, adapters::http::Client& http,
                                                 ports::RegistryLogins& logins, const Log& log);
  BuildParts(const BuildParts&) = delete;
  BuildParts& operator=(const BuildParts&) = delete;

  /// Asks the engine who it is. The error is in the words of whoever can mend it.
  Result<adapters::buildkit::EngineInfo> ask_engine(const std::stop_token& stop);

  const Config& config;
  /// Null: a standalone BuildKit builds, which pushes itself.
  std::unique_ptr<adapters::docker::Engine> docker;
  std::unique_ptr<ports::SourceFetcher> source;
  std::unique_ptr<ports::BuildLimits> limits;  ///< Null: the steps run where we do not see them.
  std::unique_ptr<adapters::buildkit::Solver> solver;
  std::unique_ptr<ports::ImageBuilder> image;
  std::unique_ptr<ports::BuildpacksBuilder> buildpacks;

 private:
  explicit BuildParts(const Config& configured) : config(configured) {}
};

/// Whether this process can hold the steps of builds within limits itself. The error says what is
/// in the way, and what then limits them.
Result<> check_step_limits(const Config& config);

/// What the steps of a build are told.
build::StepSettings step_settings(const Config& config, const WorkDir& work);

/// The address of what builds.
const adapters::docker::EngineAddress& engine_address(const Config& config);

/// The engine is on this machine.
bool has_local_engine(const Config& config);

}  // namespace builder::app
