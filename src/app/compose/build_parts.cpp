#include "app/compose/build_parts.hpp"

#include "adapters/buildkit/image_builder.hpp"
#include "adapters/cnb/platform.hpp"
#include "adapters/git/source_fetcher.hpp"
#include "adapters/http/proxy.hpp"
#include "adapters/sbom/sbom_source.hpp"
#include "app/compose/engine_choice.hpp"
#include "app/host/folder_probe.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/builder_image.hpp"
#include "domain/platform_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace builder::app {

namespace {

std::vector<std::string> trusted_builders(const Config& config) {
  if (!config.cnb_trusted_builders.empty()) {
    return config.cnb_trusted_builders;
  }
  std::vector<std::string> trusted = domain::buildpacks::known_builders();
  trusted.push_back(config.cnb_builder);
  return trusted;
}

Result<std::vector<adapters::cnb::BindingValue>> bindings_of(const Config& config,
                                                             SecretStore& secrets) {
  auto bindings = adapters::cnb::read_bindings(config.cnb_bindings);
  if (!bindings) {
    return std::unexpected(std::move(bindings).error().with_context("CNB_BINDINGS"));
  }
  for (auto& value : adapters::cnb::mirror_binding(config.cnb_dependency_mirror)) {
    bindings->push_back(std::move(value));
  }
  for (const adapters::cnb::BindingValue& value : *bindings) {
    if (value.key != "type" && value.key != "provider") {
      secrets.add_forever({{"binding " + value.binding + "/" + value.key, value.value}});
    }
  }
  return bindings;
}

adapters::cnb::PlatformSettings platform_settings(
    const Config& config, std::vector<adapters::cnb::BindingValue> bindings) {
  return {.trusted_builders = trusted_builders(config),
          .run_image = config.cnb_run_image,
          .lifecycle_image = config.cnb_lifecycle_image,
          .host_network = config.cnb_host_network,
          .bindings = std::move(bindings),
          .keeper = config.docker_host,
          .commit_epoch = config.image_epoch != adapters::buildkit::ImageEpoch::off,
          .refuses_emulation = !config.platform_emulation};
}

/// All workers of a platform have the same.
KeyedHash::Key times_key(const Config& config) {
  const auto digest = sha256("deployra-builder file times\n" + config.api_key.reveal());
  KeyedHash::Key key{};
  std::copy_n(digest.begin(), key.size(), key.begin());
  return key;
}

/// The way to a standalone BuildKit.
std::unique_ptr<adapters::buildkit::Connector> connect_buildkit(const Config& config,
                                                                const BuildkitAddress& buildkit,
                                                                const Log& log) {
  const adapters::docker::EngineAddress& address = buildkit.address;
  const bool has_tls = config.buildkit_tls && !address.is_socket();
  log.info("building {}with BuildKit at {}{}",
           buildkit.platform.empty() ? "" : "for " + buildkit.platform + " ", address.str(),
           has_tls ? ", over TLS" : "");
  if (!address.is_socket() && !has_tls && !adapters::oci::is_plain_http(address.authority())) {
    log.warning(
        "BUILDKIT_HOST is spoken to without TLS: sources and registry tokens can be read on the "
        "way; set BUILDKIT_TLS_CA, BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY");
  }
  return adapters::buildkit::make_buildkitd_connector(address,
                                                      has_tls ? config.buildkit_tls : std::nullopt);
}

/// What holds the steps of builds within BUILD_MEMORY, BUILD_CPUS and BUILD_PIDS, and sees how much
/// they compute.
struct StepLimits {
  std::unique_ptr<ports::BuildLimits> limits;  ///< Null: the steps run where we do not see them.
  bool enforced = false;
};

/// `is_local`: the engine is on this machine.
adapters::host::CgroupLimits limits_in_force(const Config& config, bool is_local) {
  adapters::host::CgroupLimits limits = config.build_limits;
  if (is_local) {
    const auto bearable = adapters::host::default_limits();
    limits.memory = config.build_memory_auto ? bearable.memory : limits.memory;
    limits.pids = config.build_pids_auto ? bearable.pids : limits.pids;
  }
  return limits;
}

/// The error is in words for the operator.
Result<std::unique_ptr<ports::BuildLimits>> wanted_step_limits(const Config& config,
                                                               const Log& log) {
  const bool is_wanted = config.build_limits.any();
  auto limits = has_local_engine(config)
                    ? adapters::host::make_step_limits(
                          {.limits = limits_in_force(config, true), .asked_for = is_wanted}, log)
                    : failure(ErrorKind::denied, "the engine is on another machine");
  if (limits) {
    return limits;
  }
  Error error = std::move(limits).error();
  error.message =
      is_wanted ? fmt::format(
                      "BUILD_MEMORY, BUILD_CPUS and BUILD_PIDS cannot be written into the control "
                      "groups of the engine's steps: {}; memory and CPUs are limited where the "
                      "engine can do it (BuildKit 0.33), processes are not",
                      error.message)
                : fmt::format(
                      "a step of a build may use all of its engine's machine, but for what the "
                      "engine itself can limit (BuildKit 0.33: memory): {}",
                      error.message);
  return std::unexpected(std::move(error));
}

StepLimits make_step_limits(const Config& config, const Log& log) {
  auto limits = wanted_step_limits(config, log);
  if (limits) {
    return {.limits = *std::move(limits), .enforced = limits_in_force(config, true).any()};
  }
  config.build_limits.any() ? log.warning("{}", limits.error().message)
                            : log.info("{}", limits.error().message);
  limits = adapters::host::make_step_limits({.limits = {}}, log);
  return {.limits = limits ? *std::move(limits) : nullptr, .enforced = false};
}

adapters::buildkit::SolverSettings solver_settings(const Config& config, const StepLimits& limits,
                                                   const adapters::docker::EngineAddress& address) {
  adapters::buildkit::SolverSettings settings;
  settings.engine_setting = config.buildkits.empty() ? "DOCKER_HOST" : "BUILDKIT_HOST";
  settings.frontends = config.frontends;
  settings.sources.policy = config.build_network_policy;
  settings.needs_isolation = config.build_network_isolation;
  settings.refuses_emulation = !config.platform_emulation;
  settings.records_downloads = config.record_downloads;
  for (const auto& [host, login] : config.registry_logins) {
    settings.sources.registries.push_back(host);
  }
  const bool is_local = address.is_socket();
  // An engine beside the first one may be anywhere.
  settings.limits = is_local || address == engine_address(config) ? limits.limits.get() : nullptr;
  settings.attributes_are_second = is_local && limits.enforced;
  if (config.build_proxy) {
    settings.proxy_variables = adapters::http::Proxies::of_process().variables();
  }
  auto& attributes = settings.step_attributes;
  settings.attributes_are_asked_for = config.build_limits.any();
  if (const auto memory = limits_in_force(config, is_local).memory; memory > 0) {
    attributes["memory"] = std::to_string(memory);
    attributes["memswap"] = attributes["memory"];
  }
  if (config.build_limits.cpus > 0) {
    attributes["cpuperiod"] = std::to_string(adapters::host::CgroupLimits::k_cpu_period);
    attributes["cpuquota"] = std::to_string(config.build_limits.cpu_quota());
  }
  if (!config.build_cgroup_parent.empty()) {
    attributes["cgroup-parent"] = config.build_cgroup_parent;
  }
  return settings;
}

/// In the words of whoever can mend it.
Error unreachable(Error error, const adapters::docker::EngineAddress& address, bool is_docker) {
  const std::string_view daemon = is_docker ? "dockerd" : "buildkitd";
  const std::string_view variable = is_docker ? "DOCKER_HOST" : "BUILDKIT_HOST";
  std::string problem;
  if (address.is_socket()) {
    switch (const int number = connect_error(address.socket)) {
      case 0:
        break;
      case ENOENT:
      case ECONNREFUSED:
        problem = fmt::format("{}; does {} run?", std::generic_category().message(number), daemon);
        break;
      case EACCES:
        problem = fmt::format("{}; is this user in the group of the socket?",
                              std::generic_category().message(number));
        break;
      default:
        problem = std::generic_category().message(number);
    }
  }
  if (!problem.empty()) {
    error.message = fmt::format("{} ({}): {}", address.str(), variable, problem);
  }
  return std::move(error).for_operator(variable);
}

}  // namespace

const adapters::docker::EngineAddress& engine_address(const Config& config) {
  return config.buildkits.empty() ? config.docker_host : config.buildkits.front().address;
}

std::string engine_names(const Config& config) {
  std::string names;
  for (const BuildkitAddress& one : config.buildkits) {
    names += (names.empty() ? "" : ", ") + one.platform + (one.platform.empty() ? "" : "=") +
             one.address.str();
  }
  return names.empty() ? engine_address(config).str() : names;
}

bool has_local_engine(const Config& config) {
  return engine_address(config).is_socket();
}

build::StepSettings step_settings(const Config& config, const WorkDir& work) {
  build::StepSettings settings;
  settings.github_url = config.github_url;
  settings.platforms = config.platforms == domain::k_default_platform ? "" : config.platforms;
  settings.fetch_timeout = config.fetch_timeout;
  settings.delivery = config.delivery;
  settings.reuse_images = config.reuse_images;
  settings.base_images = config.base_images;
  settings.renew_base_images = config.base_images_renew;
  settings.image_labels = config.image_labels;
  settings.policy = config.policy == nullptr ? std::string() : config.policy->fingerprint;
  settings.knobs = config.customer_knobs;
  settings.knobs.longest_timeout = std::max(settings.knobs.longest_timeout, config.build_timeout);
  settings.knobs.longest_silence =
      config.silence_timeout.count() == 0
          ? config.silence_timeout
          : std::max(settings.knobs.longest_silence, config.silence_timeout);
  settings.knobs.widest_sharing = config.cache_sharing;
  settings.image_check = {.action = config.secret_in_image,
                          .names = config.secret_names,
                          .limit = config.secret_search_time};
  settings.papers = {
      .rule = config.attestations, .builder_id = config.builder_id, .version = BUILDER_VERSION};
  settings.times_key = times_key(config);
  settings.check_work_dir = [folder = work.path()] { return probe_folder(folder); };
  settings.buildpacks = {.builder = config.cnb_builder,
                         .allowed_builders = trusted_builders(config),
                         .node_version = config.cnb_node_version,
                         .user_environment = config.cnb_user_env};
  std::vector<std::string>& allowed = settings.buildpacks.allowed_builders;
  allowed.insert(allowed.end(), config.cnb_allowed_builders.begin(),
                 config.cnb_allowed_builders.end());
  return settings;
}

Result<std::unique_ptr<BuildParts>> BuildParts::make(const Config& config, WorkDir& work,
                                                     adapters::http::Client& http, BuildPeers peers,
                                                     SecretStore& secrets, const Log& log) {
  std::unique_ptr<BuildParts> parts = make_engine(config, http, peers.logins, log, &peers.oci);
  BUILDER_TRY_ASSIGN(parts->source,
                     adapters::git::make_source_fetcher(
                         {.work_dir = work.path(),
                          .builds_dir = work.builds(),
                          .policy = config.git_network_policy,
                          .allowed_hosts = config.git_allowed_hosts,
                          .largest_source = config.max_source_size,
                          .ensure_work_dir = [&work, log] { return ensure(work, log); }}));
  BUILDER_TRY_ASSIGN(auto bindings, bindings_of(config, secrets));
  const adapters::buildkit::PublishPeers publish{parts->solver(), peers.registry, peers.logins,
                                                 peers.patience};
  parts->image = adapters::buildkit::make_direct_image_builder(publish, config.image_compression,
                                                               config.image_epoch);
  std::map<std::string, adapters::buildkit::Solver*> solvers;
  if (parts->engines.size() > 1) {
    std::vector<adapters::buildkit::PlatformEngine> engines;
    for (const BuildEngine& engine : parts->engines) {
      engines.push_back({.platform = engine.platform, .solver = *engine.solver});
      solvers.emplace(engine.platform, engine.solver.get());
    }
    parts->image = adapters::buildkit::make_several_engines_builder(
        std::move(engines), publish, peers.oci, config.image_compression, config.image_epoch);
  }
  if (parts->docker != nullptr) {
    parts->image = adapters::buildkit::make_engine_image_builder(publish, *parts->docker,
                                                                 std::move(parts->image));
  }
  parts->buildpacks = adapters::cnb::make_platform(
      platform_settings(config, std::move(bindings)),
      {parts->solver(), peers.oci, peers.registry, peers.logins, peers.patience, parts->gate.get(),
       peers.keeper, std::move(solvers)});
  if (config.attestations != domain::AttestationRule::off) {
    parts->sboms =
        adapters::sbom::make_sbom_source(config.sbom_scanner, parts->solver(), peers.oci);
  }
  return parts;
}

std::unique_ptr<BuildParts> BuildParts::make_engine(const Config& config,
                                                    adapters::http::Client& http,
                                                    ports::RegistryLogins& logins, const Log& log,
                                                    adapters::oci::Client* oci) {
  std::unique_ptr<BuildParts> parts(new BuildParts(config));
  if (config.policy != nullptr && oci != nullptr) {
    parts->gate = std::make_unique<adapters::policy::Gate>(config.policy, *oci);
  }
  StepLimits limits = make_step_limits(config, log);
  const auto add = [&](std::string platform, const adapters::docker::EngineAddress& address,
                       std::unique_ptr<adapters::buildkit::Connector> connector) {
    auto settings = solver_settings(config, limits, address);
    settings.gate = parts->gate.get();
    parts->engines.push_back({.platform = std::move(platform),
                              .address = address,
                              .solver = adapters::buildkit::make_solver(
                                  std::move(settings), std::move(connector), logins, log)});
  };
  for (const BuildkitAddress& buildkit : config.buildkits) {
    add(buildkit.platform, buildkit.address, connect_buildkit(config, buildkit, log));
  }
  if (config.buildkits.empty()) {
    log.info("building with the Docker Engine at {}", config.docker_host.str());
    parts->docker = adapters::docker::make_engine(config.docker_host, http);
    add({}, config.docker_host,
        adapters::buildkit::make_docker_connector(config.docker_host, *parts->docker));
  }
  parts->limits = std::move(limits.limits);
  return parts;
}

Result<> check_step_limits(const Config& config) {
  BUILDER_TRY(wanted_step_limits(config, Log()));
  return {};
}

Result<adapters::buildkit::EngineInfo> BuildParts::ask(const BuildEngine& engine,
                                                       const std::stop_token& stop) const {
  auto info = engine.solver->engine(stop);
  if (!info) {
    return std::unexpected(unreachable(std::move(info).error(), engine.address, docker != nullptr));
  }
  if (!engine.platform.empty() && !adapters::buildkit::runs_platform(*info, engine.platform)) {
    return std::unexpected(Error{
        .kind = ErrorKind::invalid_input,
        .message =
            fmt::format("the BuildKit at {}, which is to build for {}, runs only {}",
                        engine.address.str(), engine.platform, fmt::join(info->platforms, ", "))}
                               .for_operator("BUILDKIT_HOST"));
  }
  return info;
}

}  // namespace builder::app
