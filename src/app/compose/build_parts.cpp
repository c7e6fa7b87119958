#include "app/compose/build_parts.hpp"

#include "adapters/buildkit/image_builder.hpp"
#include "adapters/cnb/platform.hpp"
#include "adapters/git/source_fetcher.hpp"
#include "adapters/http/proxy.hpp"
#include "app/compose/engine_choice.hpp"
#include "app/host/folder_probe.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/builder_image.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace builder::app {

namespace {

constexpr std::string_view k_unix = "unix://";

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
          .commit_epoch = config.image_epoch != adapters::buildkit::ImageEpoch::off};
}

/// All workers of a platform have the same.
KeyedHash::Key times_key(const Config& config) {
  const auto digest = sha256("deployra-builder file times\n" + config.api_key.reveal());
  KeyedHash::Key key{};
  std::copy_n(digest.begin(), key.size(), key.begin());
  return key;
}

/// What builds: a Docker Engine, or a standalone BuildKit without one.
struct BuildEngine {
  std::unique_ptr<adapters::docker::Engine>
      docker;  ///< Null: the connector's daemon pushes itself.
  std::unique_ptr<adapters::buildkit::Connector> connector;
};

Result<BuildEngine> choose_engine(const Config& config, adapters::http::Client& http,
                                  const Log& log) {
  BuildEngine engine;
  if (!config.buildkit_host.empty()) {
    log.info("building with BuildKit at {}{}", config.buildkit_host,
             config.buildkit_tls ? ", over TLS" : "");
    if (config.buildkit_host.starts_with("tcp://") && !config.buildkit_tls &&
        !adapters::oci::is_plain_http(config.buildkit_host.substr(6))) {
      log.warning(
          "BUILDKIT_HOST is spoken to without TLS: sources and registry tokens can be read on the "
          "way; set BUILDKIT_TLS_CA, BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY");
    }
    BUILDER_TRY_ASSIGN(engine.connector, adapters::buildkit::make_buildkitd_connector(
                                             config.buildkit_host, config.buildkit_tls));
    return engine;
  }
  log.info("building with the Docker Engine at {}", config.docker_host);
  BUILDER_TRY_ASSIGN(auto address, adapters::docker::parse_docker_host(config.docker_host));
  engine.docker = adapters::docker::make_engine(std::move(address), http);
  BUILDER_TRY_ASSIGN(engine.connector,
                     adapters::buildkit::make_docker_connector(config.docker_host, *engine.docker));
  return engine;
}

/// What holds the steps of builds within BUILD_MEMORY, BUILD_CPUS and BUILD_PIDS, and sees how much
/// they compute.
struct StepLimits {
  std::unique_ptr<ports::BuildLimits> limits;  ///< Null: the steps run where we do not see them.
  bool enforced = false;
};

adapters::host::CgroupLimits limits_in_force(const Config& config) {
  adapters::host::CgroupLimits limits = config.build_limits;
  if (has_local_engine(config)) {
    const auto bearable = adapters::host::default_limits();
    limits.memory = config.build_memory_auto ? bearable.memory : limits.memory;
    limits.pids = config.build_pids_auto ? bearable.pids : limits.pids;
  }
  return limits;
}

StepLimits make_step_limits(const Config& config, const Log& log) {
  const bool is_wanted = config.build_limits.any();
  const auto wanted = limits_in_force(config);
  auto limits =
      has_local_engine(config)
          ? adapters::host::make_step_limits({.limits = wanted, .asked_for = is_wanted}, log)
          : failure(ErrorKind::denied, "the engine is on another machine");
  if (limits) {
    return {.limits = *std::move(limits), .enforced = wanted.any()};
  }
  if (!is_wanted) {
    log.info(
        "a step of a build may use all of its engine's machine, but for what the engine itself can "
        "limit (BuildKit 0.33: memory): {}",
        limits.error().message);
  } else {
    log.warning(
        "BUILD_MEMORY, BUILD_CPUS and BUILD_PIDS cannot be written into the control groups of the "
        "engine's steps: {}; memory and CPUs are limited where the engine can do it (BuildKit "
        "0.33), processes are not",
        limits.error().message);
  }
  limits = adapters::host::make_step_limits({.limits = {}}, log);
  return {.limits = limits ? *std::move(limits) : nullptr, .enforced = false};
}

adapters::buildkit::SolverSettings solver_settings(const Config& config, const StepLimits& limits) {
  adapters::buildkit::SolverSettings settings;
  settings.engine_setting = config.buildkit_host.empty() ? "DOCKER_HOST" : "BUILDKIT_HOST";
  settings.frontends = config.frontends;
  settings.sources.policy = config.build_network_policy;
  settings.needs_isolation = config.build_network_isolation;
  for (const auto& [host, login] : config.registry_logins) {
    settings.sources.registries.push_back(host);
  }
  settings.limits = limits.limits.get();
  settings.attributes_are_second = limits.enforced;
  if (config.build_proxy) {
    settings.proxy_variables = adapters::http::Proxies::of_process().variables();
  }
  auto& attributes = settings.step_attributes;
  settings.attributes_are_asked_for = config.build_limits.any();
  if (const auto memory = limits_in_force(config).memory; memory > 0) {
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
Error unreachable(Error error, const Config& config) {
  const bool is_docker = config.buildkit_host.empty();
  const std::string& address = engine_address(config);
  const std::string_view daemon = is_docker ? "dockerd" : "buildkitd";
  const std::string_view variable = is_docker ? "DOCKER_HOST" : "BUILDKIT_HOST";
  std::string problem;
  if (address.starts_with(k_unix)) {
    switch (const int number = connect_error(address.substr(k_unix.size()))) {
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
    error.message = fmt::format("{} ({}): {}", address, variable, problem);
  }
  return std::move(error).for_operator(variable);
}

}  // namespace

const std::string& engine_address(const Config& config) {
  return config.buildkit_host.empty() ? config.docker_host : config.buildkit_host;
}

bool has_local_engine(const Config& config) {
  return engine_address(config).starts_with(k_unix);
}

build::StepSettings step_settings(const Config& config, const WorkDir& work) {
  build::StepSettings settings;
  settings.github_url = config.github_url;
  settings.fetch_timeout = config.fetch_timeout;
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
  std::unique_ptr<BuildParts> parts(new BuildParts(config));
  BUILDER_TRY_ASSIGN(BuildEngine engine, choose_engine(config, http, log));
  parts->docker = std::move(engine.docker);
  BUILDER_TRY_ASSIGN(parts->source,
                     adapters::git::make_source_fetcher(
                         {.work_dir = work.path(),
                          .builds_dir = work.builds(),
                          .policy = config.git_network_policy,
                          .allowed_hosts = config.git_allowed_hosts,
                          .largest_source = config.max_source_size,
                          .ensure_work_dir = [&work, log] { return ensure(work, log); }},
                         log));
  BUILDER_TRY_ASSIGN(auto bindings, bindings_of(config, secrets));
  StepLimits limits = make_step_limits(config, log);
  auto settings = solver_settings(config, limits);
  parts->limits = std::move(limits.limits);
  parts->solver = adapters::buildkit::make_solver(std::move(settings), std::move(engine.connector),
                                                  peers.logins, log);
  const adapters::buildkit::PublishPeers publish{*parts->solver, peers.registry, peers.logins};
  parts->image = adapters::buildkit::make_direct_image_builder(publish, config.image_compression,
                                                               config.image_epoch, log);
  if (parts->docker != nullptr) {
    parts->image = adapters::buildkit::make_engine_image_builder(publish, *parts->docker,
                                                                 std::move(parts->image), log);
  }
  parts->buildpacks =
      adapters::cnb::make_platform(platform_settings(config, std::move(bindings)),
                                   {*parts->solver, peers.oci, peers.registry, peers.logins}, log);
  return parts;
}

Result<adapters::buildkit::EngineInfo> BuildParts::ask_engine(const std::stop_token& stop) {
  auto engine = solver->engine(stop);
  return engine ? std::move(engine)
                : std::unexpected(unreachable(std::move(engine).error(), config));
}

}  // namespace builder::app
