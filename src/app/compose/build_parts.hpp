#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "adapters/docker/engine.hpp"
#include "adapters/http/client.hpp"
#include "adapters/oci/client.hpp"
#include "adapters/oci/retrying_push.hpp"
#include "adapters/policy/gate.hpp"
#include "app/config/config.hpp"
#include "app/host/work_dir.hpp"
#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "build/step_contract.hpp"
#include "ports/build_limits.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/image_builder.hpp"
#include "ports/registry.hpp"
#include "ports/sbom_source.hpp"
#include "ports/source_fetcher.hpp"

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::app {

/// What a build finds on its way to the registries.
struct BuildPeers {
  ports::Registry& registry;
  ports::RegistryLogins& logins;
  adapters::oci::Client& oci;
  adapters::oci::PushPatience patience = {};
  adapters::docker::Engine* keeper = nullptr;  ///< Of DOCKER_HOST; takes what buildpacks make.
};

/// What runs builds.
struct BuildEngine {
  std::string platform;  ///< That of its machine; empty: it builds for all of them.
  adapters::docker::EngineAddress address;
  std::unique_ptr<adapters::buildkit::Solver> solver;
};

/// All that turns a source into an image: git, the engine, what holds its steps within limits, and
/// both ways to build. Needs the settings of `Concern::build`; knows neither queue nor platform.
/// Members are made in this order.
struct BuildParts {
  /// The arguments outlive it. Errors: a setting that cannot be used. No peer is asked.
  static Result<std::unique_ptr<BuildParts>> make(const Config& config, WorkDir& work,
                                                  adapters::http::Client& http, BuildPeers peers,
                                                  SecretStore& secrets, const Log& log);
  /// For a look at the engine alone: source, image and buildpacks stay null. `oci`: where the
  /// policy looks at images; null: nothing is built.
  static std::unique_ptr<BuildParts> make_engine(const Config& config, adapters::http::Client& http,
                                                 ports::RegistryLogins& logins, const Log& log,
                                                 adapters::oci::Client* oci = nullptr);
  BuildParts(const BuildParts&) = delete;
  BuildParts& operator=(const BuildParts&) = delete;

  /// Asks an engine who it is. The error, in the words of whoever can mend it, may be that it runs
  /// nothing for its platform.
  [[nodiscard]] Result<adapters::buildkit::EngineInfo> ask(const BuildEngine& engine,
                                                           const std::stop_token& stop) const;

  [[nodiscard]] adapters::buildkit::Solver& solver() const { return *engines.front().solver; }

  const Config& config;
  /// Null: a standalone BuildKit builds, which pushes itself.
  std::unique_ptr<adapters::docker::Engine> docker;
  std::unique_ptr<ports::SourceFetcher> source;
  std::unique_ptr<adapters::policy::Gate> gate;  ///< Null: POLICY_FILE is not set.
  std::unique_ptr<ports::BuildLimits> limits;    ///< Null: the steps run where we do not see them.
  /// Never empty. The first one builds what no other is for.
  std::vector<BuildEngine> engines;
  std::unique_ptr<ports::ImageBuilder> image;
  std::unique_ptr<ports::BuildpacksBuilder> buildpacks;
  std::unique_ptr<ports::SbomSource> sboms;  ///< Null: ATTESTATIONS is off.

 private:
  explicit BuildParts(const Config& configured) : config(configured) {}
};

/// Whether this process can hold the steps of builds within limits itself. The error says what is
/// in the way, and what then limits them.
Result<> check_step_limits(const Config& config);

/// What the steps of a build are told.
build::StepSettings step_settings(const Config& config, const WorkDir& work);

/// The address of what builds; of several engines that of the first.
const adapters::docker::EngineAddress& engine_address(const Config& config);

/// All that build, for people: `tcp://a:1234`, or `linux/amd64=tcp://a:1234, linux/arm64=…`.
std::string engine_names(const Config& config);

/// The engine is on this machine.
bool has_local_engine(const Config& config);

}  // namespace builder::app
