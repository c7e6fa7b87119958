#pragma once

#include "adapters/buildkit/client/connector.hpp"
#include "adapters/buildkit/client/image_command.hpp"
#include "adapters/buildkit/diagnosis/frontend.hpp"
#include "adapters/buildkit/diagnosis/source_rules.hpp"
#include "adapters/policy/gate.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "domain/build_event.hpp"
#include "domain/ids.hpp"
#include "domain/variable_delivery.hpp"
#include "ports/build_limits.hpp"
#include "ports/byte_sink.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"
#include "ports/registry_login.hpp"
#include "ports/source_tree.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

/// One solve: of BuildKit's Dockerfile frontend, or of a command of ours.
struct SolveSpec {
  domain::ServiceId service_id;  ///< Names the context's incremental copy at the engine.
  std::shared_ptr<const ports::SourceTree> context;  ///< Shared with the transfer threads.
  std::string dockerfile;                            ///< Path inside `dockerfile_tree`.
  /// Further attributes of the frontend (`build-arg:…`, `target`, `no-cache`, …). Unknown ones are
  /// ignored by the engine without a word.
  std::map<std::string, std::string> frontend = {};
  /// `moby` (an Engine), `image` (a standalone daemon), `tar` (files for us, on both), `docker` and
  /// `oci` (archives for us); empty: the result goes nowhere.
  std::string exporter = {};
  std::map<std::string, std::string> exporter_attributes = {};
  /// Gets what the exporter sends, on another thread; null: of `tar`, `Solved::files` has it.
  /// Outlives the solve.
  ports::ByteSink* result = nullptr;
  /// Waits for the time that the image and its history are to bear; null: that of the build.
  std::function<Result<std::chrono::sys_seconds>()> epoch = {};
  /// Stands before the name of every cache mount. Without one the engine shares them with all.
  Secret cache_namespace = {};
  /// The Dockerfile came with the source: it may name no frontend and no source that the settings
  /// forbid.
  bool is_customers = false;
  /// With `is_customers`: the deployment's own repository. Images beside it belong to other
  /// services: none of them can be a source of this build. nullopt: there are no others.
  std::optional<ports::Repository> repository = {};
  /// For `RUN --mount=type=secret,id=…`, by id; for files of ours.
  std::map<std::string, Secret> secrets = {};
  /// The same for the customer's: a changed secret makes its RUN run again, and no result of one is
  /// another service's. The arguments are here to be told of; `frontend` has them.
  domain::DeliveredVariables variables = {};
  /// With `is_customers`. An engine without source policies gets them in the Dockerfile, as far as
  /// `with_pins` can write them there, which is said.
  ports::ImagePins pins = {};
  /// What a step mounts as a socket (`--mount=type=ssh,id=…`): where its connections go.
  std::map<std::string, EngineAddress> sockets = {};
  /// With `is_customers`: waits for labels of the image, which count where the Dockerfile has none
  /// of the same name. Those of its base image are added to them.
  std::function<Result<std::map<std::string, std::string>>()> labels = {};
  /// Other engines build the same Dockerfile for other platforms: as where the attribute `platform`
  /// has several, no base image may be for another one.
  bool is_one_of_several = false;
  /// `network.host`, where the engine grants it.
  std::vector<std::string> entitlements = {};
  /// Has the Dockerfile and the ignore file beside it; null: the context. With `is_customers`.
  std::shared_ptr<const ports::SourceTree> dockerfile_tree = {};
  /// In place of a Dockerfile: then there is no context, and only exporter, result and service
  /// count.
  std::optional<ImageCommand> command = {};

  [[nodiscard]] const std::shared_ptr<const ports::SourceTree>& of_dockerfile() const {
    return dockerfile_tree == nullptr ? context : dockerfile_tree;
  }
};

struct Solved {
  std::map<std::string, std::string> exporter_response;
  std::uint64_t context_bytes_sent = 0;
  std::chrono::steady_clock::duration push{0};    ///< The part of the solve that was a push.
  std::map<std::string, std::string> files = {};  ///< Of the exporter `tar`, without a `result`.
  std::optional<std::vector<domain::BaseImage>> bases = {};  ///< As in `ports::PublishResult`.
  std::vector<domain::BaseImage> tagged = {};                ///< The same.
  std::optional<domain::Downloads> downloads = {};           ///< The same.
};

struct SolveFailure {
  Error error;
  /// Of the RUN that failed.
  std::optional<int> exit_code = {};
  /// The engine built the image but a registry did not take it: its words.
  std::string push_error = {};
};

/// The way a solve is run on any BuildKit: a session of its own with the context, registry logins
/// and secrets; steps, output and warnings as events; an engine that is away waited for, and a
/// solve it lost started again once. What the engine's version cannot do is said before it is
/// tried. Thread-safe. The destructor waits until the last session is closed; no solve may be
/// running then.
class Solver {
 public:
  virtual ~Solver() = default;
  /// Errors: `build_failed` with the customer's line, `unavailable` when the engine is away or was
  /// lost or a registry did not answer, `timed_out`, `cancelled` (the processes are gone or being
  /// killed by the engine when this returns).
  virtual std::expected<Solved, SolveFailure> solve(const ports::JobContext& job,
                                                    const SolveSpec& spec,
                                                    domain::EventSink& events) = 0;
  /// See `ports::ImageBuilder::find_bases`.
  virtual Result<std::vector<domain::BaseImage>> find_bases(
      const ports::JobContext& job, const ports::Repository& repository,
      const std::vector<std::string>& names) = 0;
  /// Asks the engine who it is; what it lacks is remembered for the solves and told the log.
  virtual Result<EngineInfo> engine(const std::stop_token& stop) = 0;
  /// The same without asking again, unless the engine was lost since: another one may be back.
  virtual Result<EngineInfo> known_engine(const std::stop_token& stop) = 0;
  /// Bytes of the engine's cache. It may have to count them first, which can take seconds.
  virtual Result<std::uint64_t> cache_size(const ports::JobContext& job) = 0;
};

struct SolverSettings {
  /// Stands before the service id in the key of the context's incremental copy at the engine.
  std::string shared_key_prefix = "deployra-builder:";
  /// How long a build waits for an engine that is away.
  std::chrono::seconds return_limit{30};
  /// Where the operator looks when no build could even begin.
  std::string engine_setting = "DOCKER_HOST";
  /// Told which steps run; outlives the solver. Null: they cannot be seen from here.
  ports::BuildLimits* limits = nullptr;
  FrontendRules frontends = {};
  SourceRules sources = {};
  /// What the Dockerfiles of customers may be made of; outlives the solver. Null: whatever
  /// `sources` allows.
  policy::Gate* gate = nullptr;
  /// Nothing is built by an engine whose steps share its own network.
  bool needs_isolation = false;
  /// No step runs programs of a machine that the engine's is not.
  bool refuses_emulation = false;
  /// Attributes of the frontend for every step of every build: limits, which are in no cache key,
  /// and the operator's group, which is.
  std::map<std::string, std::string> step_attributes = {};
  /// `limits` holds the steps to the same, should the engine not know the attributes.
  bool attributes_are_second = false;
  /// By the operator, who is told which of them an engine ignores.
  bool attributes_are_asked_for = true;
  /// Builds of customers' Dockerfiles that push tell what they downloaded, where the engine can.
  bool records_downloads = false;
  /// Proxies for the steps: BuildKit gives them these variables, and no cache key counts them.
  std::vector<std::pair<std::string, std::string>> proxy_variables = {};
};

/// `logins` outlives the solver: the engine asks for them when a registry wants to know who we are.
std::unique_ptr<Solver> make_solver(SolverSettings settings, std::unique_ptr<Connector> connector,
                                    ports::RegistryLogins& logins, Log log);

}  // namespace builder::adapters::buildkit
