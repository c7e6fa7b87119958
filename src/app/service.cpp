#include "app/service.hpp"

#include "adapters/buildkit/image_builder.hpp"
#include "adapters/cnb/platform.hpp"
#include "adapters/dashboard/reporter.hpp"
#include "adapters/docker/engine.hpp"
#include "adapters/ecr/api.hpp"
#include "adapters/ecr/credentials.hpp"
#include "adapters/ecr/logins.hpp"
#include "adapters/ecr/registry.hpp"
#include "adapters/git/source_fetcher.hpp"
#include "adapters/http/client.hpp"
#include "adapters/oci/client.hpp"
#include "adapters/oci/known_logins.hpp"
#include "adapters/redis/cancel_feed.hpp"
#include "adapters/redis/chosen_queue.hpp"
#include "adapters/redis/job_queue.hpp"
#include "app/folder_probe.hpp"
#include "app/health.hpp"
#include "app/host_watch.hpp"
#include "app/housekeeping.hpp"
#include "app/http_endpoint.hpp"
#include "app/log_sink.hpp"
#include "app/signals.hpp"
#include "app/watchdog.hpp"
#include "app/work_dir.hpp"
#include "base/fd.hpp"
#include "base/stop.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/builder_image.hpp"
#include "pipeline/platform_watch.hpp"
#include "pipeline/worker.hpp"

#include <systemd/sd-daemon.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

namespace builder::app {

namespace {

/// Where buildkitd keeps its data unless it is told otherwise.
constexpr const char* k_buildkit_folder = "/var/lib/buildkit";
constexpr std::chrono::seconds k_listen_interval{1};
/// systemd kills what does not stop in time, unless it is told, before that, that it takes longer.
constexpr std::chrono::seconds k_extend_interval{10};
constexpr const char* k_still_draining = "EXTEND_TIMEOUT_USEC=30000000";
/// How long a registry's answers are waited for when nothing but its health is asked.
constexpr std::chrono::seconds k_probe_limit{5};

std::vector<std::string> trusted_builders(const Config& config) {
  if (!config.cnb_trusted_builders.empty()) {
    return config.cnb_trusted_builders;
  }
  std::vector<std::string> trusted = domain::buildpacks::known_builders();
  trusted.push_back(config.cnb_builder);
  return trusted;
}

std::vector<NamedSecret> secrets_of(const Config& config) {
  std::vector<NamedSecret> secrets{{"REDIS_PASSWORD", config.redis.password},
                                   {"REDIS_SENTINEL_PASSWORD", config.redis.sentinel.password},
                                   {"API_KEY", config.api_key},
                                   {"AWS_SECRET_ACCESS_KEY", config.aws.secret_access_key},
                                   {"AWS_SESSION_TOKEN", config.aws.session_token}};
  for (const auto& [host, login] : config.registry_logins) {
    secrets.push_back({"password for " + host, login.password});
    secrets.push_back({"login for " + host,
                       Secret(base64_encode(login.username + ":" + login.password.reveal()))});
  }
  for (std::string& password : adapters::http::Proxies::of_process().passwords()) {
    secrets.push_back({"password of a proxy", Secret(std::move(password))});
  }
  return secrets;
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

StepLimits make_step_limits(const Config& config, const Log& log) {
  const std::string& address =
      config.buildkit_host.empty() ? config.docker_host : config.buildkit_host;
  const bool is_wanted = config.build_limits.any();
  auto limits = address.starts_with("unix://")
                    ? adapters::host::make_step_limits({.limits = config.build_limits}, log)
                    : failure(ErrorKind::denied, "the engine is on another machine");
  if (limits) {
    return {.limits = *std::move(limits), .enforced = is_wanted};
  }
  if (!is_wanted) {
    log.debug("control groups of steps: {}", limits.error().message);
    return {};
  }
  log.warning(
      "BUILD_MEMORY, BUILD_CPUS and BUILD_PIDS cannot be written into the control groups of the "
      "engine's steps: {}; memory and CPUs are limited where the engine can do it (BuildKit 0.33), "
      "processes are not",
      limits.error().message);
  limits = adapters::host::make_step_limits({.limits = {}}, log);
  return {.limits = limits ? *std::move(limits) : nullptr, .enforced = false};
}

adapters::buildkit::SolverSettings solver_settings(const Config& config, const StepLimits& limits) {
  adapters::buildkit::SolverSettings settings;
  settings.engine_setting = config.buildkit_host.empty() ? "DOCKER_HOST" : "BUILDKIT_HOST";
  settings.frontends = config.frontends;
  settings.sources.policy = config.build_network_policy;
  for (const auto& [host, login] : config.registry_logins) {
    settings.sources.registries.push_back(host);
  }
  settings.limits = limits.limits.get();
  settings.attributes_are_second = limits.enforced;
  if (config.build_proxy) {
    settings.proxy_variables = adapters::http::Proxies::of_process().variables();
  }
  auto& attributes = settings.step_attributes;
  if (config.build_limits.memory > 0) {
    attributes["memory"] = std::to_string(config.build_limits.memory);
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

/// What connect(2) says of a socket; 0: somebody listens.
int connect_error(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return ENAMETOOLONG;
  }
  std::ranges::copy(path, std::begin(address.sun_path));
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                     0 ||
                 errno == EAGAIN
             ? 0
             : errno;
}

/// Others may empty WORK_DIR at any time.
Result<> ensure(WorkDir& work, const Log& log) {
  BUILDER_TRY_ASSIGN(const bool made, work.ensure());
  if (made) {
    log.warning("WORK_DIR {} was emptied while it is in use; it is made again", work.path());
  }
  return {};
}

/// A question that costs its peer something: asked again after a minute while the answer is good,
/// after seconds while it is not, and at once when deployments met trouble. One thread's.
class Paced {
 public:
  template <class Ask>
  Result<> ask(int troubles, Ask&& ask) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_ || troubles != troubles_) {
      answer_ = std::forward<Ask>(ask)();
      troubles_ = troubles;
      next_ = std::chrono::steady_clock::now() + std::chrono::seconds(answer_ ? 60 : 3);
    }
    return answer_;
  }

 private:
  Result<> answer_;
  int troubles_ = 0;
  SteadyTime next_{};
};

/// Every concrete class, in the order of their dependencies.
class Service {
 public:
  Service(const Config& config, Signals& signals, WorkDir& work, ServiceLog& service_log, Log log,
          SecretStore& secrets, std::unique_ptr<adapters::http::Client> http,
          std::unique_ptr<ports::SourceFetcher> source, BuildEngine engine,
          std::vector<adapters::cnb::BindingValue> bindings)
      : config_(config),
        signals_(signals),
        work_(work),
        service_log_(service_log),
        log_(std::move(log)),
        host_(config.admission, work_.path(), metrics_, log_),
        http_(std::move(http)),
        docker_(std::move(engine.docker)),
        credentials_(adapters::ecr::make_credentials(config.aws, *http_, log_)),
        ecr_(adapters::ecr::make_api(
            {.endpoint = adapters::ecr::api_endpoint(config.ecr_endpoint, config.aws.endpoints),
             .endpoint_setting =
                 config.ecr_endpoint.empty() ? "AWS_REGION" : "AWS_ENDPOINT_URL_ECR",
             .region = config.aws.endpoints.region},
            *http_, *credentials_, log_)),
        ecr_logins_(*ecr_, secrets),
        logins_(ecr_logins_, config.registry_logins),
        oci_(adapters::oci::make_client({}, *http_, logins_, log_)),
        registry_(adapters::ecr::make_registry(
            {.keep_images = config.ecr_keep_images,
             .needs_latest = config.image_reference != pipeline::ImageReference::digest},
            *ecr_, ecr_logins_, *oci_, log_)),
        reporter_(adapters::dashboard::make_reporter(
            {.api_url = config.api_url, .api_key = config.api_key}, *http_)),
        platform_(*reporter_, config.unknown_timeout),
        source_(std::move(source)),
        limits_(make_step_limits(config, log_)),
        solver_(adapters::buildkit::make_solver(solver_settings(config, limits_),
                                                std::move(engine.connector), logins_, log_)),
        image_(make_image_builder()),
        buildpacks_(adapters::cnb::make_platform(platform_settings(config, std::move(bindings)),
                                                 {*solver_, *oci_, *registry_, logins_}, log_)),
        queue_(make_queue()),
        cancels_(adapters::redis::make_cancel_feed(config.redis, log_)),
        runner_(
            {*source_, *image_, *buildpacks_, *registry_, platform_, *queue_, limits_.limits.get()},
            job_settings(config, work_), secrets, metrics_, log_, abort_.get_token()),
        worker_(*queue_, runner_,
                {.can_build =
                     [this] {
                       return !signals_.paused() && away_.lock()->empty() && platform_.may_take() &&
                              host_.refusal().empty() && ensure(work_, log_).has_value();
                     },
                 .must_shed = [this] { return host_.must_shed(); },
                 .waiting = [this] { return platform_.unknown(); },
                 .parallel_builds = config.max_parallel_builds,
                 .drain_timeout = config.drain_timeout},
                metrics_, log_) {}

  Result<> run(const Config& config) {
    HealthMonitor health(checks(), metrics_, log_, [] { sd_notify(0, "READY=1"); });
    std::unique_ptr<HttpEndpoint> endpoint;
    std::jthread late_endpoint;
    if (!config.http_listen.empty()) {
      const auto start = [this, &health, &endpoint]() -> Result<> {
        BUILDER_TRY_ASSIGN(
            endpoint, HttpEndpoint::start(config_.http_listen,
                                          {.not_ready_reasons = [&] { return health.reasons(); },
                                           .warnings = [this] { return warnings(); },
                                           .metrics = [this] { return render_metrics(); }}));
        log_.info("health and metrics on {}", config_.http_listen);
        return {};
      };
      if (const auto started = start(); !started && started.error().kind != ErrorKind::conflict) {
        return started;
      } else if (!started) {
        log_.warning("{}; trying again until it is free: jobs are taken meanwhile",
                     started.error().message);
        late_endpoint = std::jthread([start](const std::stop_token& stop) {
          while (sleep_for(k_listen_interval, stop) && !start()) {
          }
        });
      }
    }
    signals_.listen(log_);
    const Watchdog watchdog;
    const Housekeeping housekeeping(
        work_, host_, config.mirror_cache_size, [this] { return worker_.idle(); }, log_);
    std::jthread cancel_thread([this](const std::stop_token& stop) {
      cancels_->run(stop, [this](const domain::DeploymentId& id) { worker_.on_cancel(id); });
    });
    const Result<> ended = take_jobs(signals_.drain());
    health.set_draining();
    sd_notify(0, "STOPPING=1");
    {
      // However long the builds take that it waits for: DRAIN_TIMEOUT ends it.
      const std::jthread extending([](const std::stop_token& stop) {
        do {
          sd_notify(0, k_still_draining);
        } while (sleep_for(k_extend_interval, stop));
      });
      worker_.drain(signals_.hurry(), abort_);
    }
    cancel_thread.request_stop();
    cancel_thread.join();
    log_.info("drained");
    return ended;
  }

 private:
  /// Until the drain, or until a defect: the builds under way are drained behind it, too.
  Result<> take_jobs(const std::stop_token& stop) {
    try {
      worker_.run(stop);
    } catch (const std::exception& error) {
      log_.error("no more jobs are taken: {}", error.what());
      return failure(ErrorKind::internal, error.what());
    }
    return {};
  }

  std::unique_ptr<ports::JobQueue> make_queue() {
    std::vector<std::string> journals = work_.ended_journals();
    if (config_.allow_unsafe_queue) {
      return adapters::redis::make_chosen_queue(config_.redis, queue_settings(),
                                                {.journal = work_.journal(),
                                                 .lost_journals = std::move(journals),
                                                 .recovered = [this] { work_.forget_ended(); }},
                                                log_);
    }
    for (const std::string& journal : journals) {
      log_.warning("a worker with ALLOW_UNSAFE_QUEUE was lost; what it built has no end: {}",
                   journal);
    }
    return adapters::redis::make_job_queue(config_.redis, queue_settings(), log_);
  }

  adapters::redis::QueueSettings queue_settings() {
    adapters::redis::QueueSettings settings;
    settings.lease = config_.lease_time;
    settings.ended_epochs = work_.ended_epochs();
    settings.old_worker_id = work_.old_worker_id();
    settings.remember_epoch = [this](const std::string& epoch) { work_.remember_epoch(epoch); };
    settings.recovered = [this] { work_.forget_ended(); };
    return settings;
  }

  static pipeline::JobSettings job_settings(const Config& config, const WorkDir& work) {
    pipeline::JobSettings settings;
    settings.channel.backlog.spool = config.log_spool_size;
    settings.channel.backlog.spool_folder = work.builds();
    settings.channel.backlog.log = config.log_limit;
    settings.github_url = config.github_url;
    settings.help_url = config.help_url;
    settings.engine = config.buildkit_host.empty() ? config.docker_host : config.buildkit_host;
    settings.build_timeout = config.build_timeout;
    settings.fetch_timeout = config.fetch_timeout;
    settings.silence_timeout = config.silence_timeout;
    settings.image_reference = config.image_reference;
    settings.keep_images = config.ecr_keep_images;
    settings.times_key = times_key(config);
    settings.cache_key = config.api_key;
    settings.cache_sharing = config.cache_sharing;
    settings.check_work_dir = [folder = work.path()] { return probe_folder(folder); };
    settings.buildpacks = {.builder = config.cnb_builder,
                           .allowed_builders = trusted_builders(config),
                           .node_version = config.cnb_node_version,
                           .user_environment = config.cnb_user_env};
    settings.buildpacks.allowed_builders.insert(settings.buildpacks.allowed_builders.end(),
                                                config.cnb_allowed_builders.begin(),
                                                config.cnb_allowed_builders.end());
    return settings;
  }

  std::unique_ptr<ports::ImageBuilder> make_image_builder() {
    const adapters::buildkit::PublishPeers peers{*solver_, *registry_, logins_};
    auto direct = adapters::buildkit::make_direct_image_builder(peers, config_.image_compression,
                                                                config_.image_epoch, log_);
    return docker_ == nullptr ? std::move(direct)
                              : adapters::buildkit::make_engine_image_builder(
                                    peers, *docker_, std::move(direct), log_);
  }

  std::vector<HealthCheck> checks() {
    std::vector<HealthCheck> checks;
    checks.push_back({"redis", [this](const std::stop_token&) -> Result<> {
                        BUILDER_TRY_ASSIGN(const std::size_t length, queue_->length());
                        metrics_.set_queue_length(length);
                        return {};
                      }});
    checks.push_back({"cancel channel", [this](const std::stop_token&) -> Result<> {
                        return cancels_->connected()
                                   ? Result<>()
                                   : failure(ErrorKind::unavailable, "not subscribed");
                      }});
    checks.push_back(needed("engine", [this](const std::stop_token& stop) -> Result<> {
      const auto engine = solver_->engine(stop);
      if (!engine) {
        return unreachable(engine.error());
      }
      check_wishes(*engine);
      watch_engine(stop);
      return {};
    }));
    checks.push_back(
        needed("work dir", [this](const std::stop_token&) { return check_work_dir(); }));
    checks.push_back(needed("registry", [this](const std::stop_token& stop) {
      return registry_probe_.ask(runner_.faults().count(), [&] { return probe_registry(stop); });
    }));
    checks.push_back({"builds", [this](const std::stop_token&) -> Result<> {
                        std::string reason = runner_.faults().reason();
                        return reason.empty() ? Result<>()
                                              : failure(ErrorKind::denied, std::move(reason));
                      }});
    checks.push_back({"taking", [this](const std::stop_token&) -> Result<> {
                        return signals_.paused() ? failure(ErrorKind::unavailable,
                                                           "paused by SIGUSR2; another one resumes")
                                                 : Result<>();
                      }});
    checks.push_back({"host", [this](const std::stop_token&) -> Result<> {
                        std::string refusal = host_.refusal();
                        return refusal.empty()
                                   ? Result<>()
                                   : failure(ErrorKind::unavailable, std::move(refusal));
                      }});
    checks.push_back({"platform", [this](const std::stop_token& stop) -> Result<> {
                        BUILDER_TRY(platform_.probed(reporter_->probe(stop)));
                        std::string reason = worker_.paused_because();
                        return reason.empty() ? Result<>()
                                              : failure(ErrorKind::denied, std::move(reason));
                      }});
    return checks;
  }

  /// In the words of whoever can mend it.
  [[nodiscard]] std::unexpected<Error> unreachable(Error error) const {
    constexpr std::string_view k_unix = "unix://";
    const bool is_docker = docker_ != nullptr;
    const std::string& address = is_docker ? config_.docker_host : config_.buildkit_host;
    const std::string_view daemon = is_docker ? "dockerd" : "buildkitd";
    const std::string_view variable = is_docker ? "DOCKER_HOST" : "BUILDKIT_HOST";
    std::string problem;
    if (address.starts_with(k_unix)) {
      switch (const int number = connect_error(address.substr(k_unix.size()))) {
        case 0:
          break;
        case ENOENT:
        case ECONNREFUSED:
          problem =
              fmt::format("{}; does {} run?", std::generic_category().message(number), daemon);
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
    } else if (!error.message.contains(variable)) {
      error.message += fmt::format(" (look at {})", variable);
    }
    return std::unexpected(std::move(error));
  }

  /// Something without which nothing can be built: no job is taken before it has answered, nor
  /// while it does not.
  HealthCheck needed(std::string name, std::function<Result<>(const std::stop_token&)> probe) {
    away_.lock()->insert(name);
    return {name, [this, name, probe = std::move(probe)](const std::stop_token& stop) {
              auto answer = probe(stop);
              if (answer) {
                away_.lock()->erase(name);
              } else {
                away_.lock()->insert(name);
              }
              return answer;
            }};
  }

  [[nodiscard]] Result<> check_work_dir() {
    BUILDER_TRY(ensure(work_, log_));
    auto usable = probe_folder(work_.path());
    return usable ? Result<>()
                  : std::unexpected(std::move(usable).error().with_context("WORK_DIR"));
  }

  Result<> probe_registry(const std::stop_token& stop) {
    auto answer = registry_->probe({.deployment_id = domain::DeploymentId("-"),
                                    .stop = stop,
                                    .deadline = std::chrono::steady_clock::now() + k_probe_limit});
    if (answer) {
      return {};
    }
    Error error = std::move(answer).error();
    if (!error.setting.empty()) {
      error.message += " (look at " + error.setting + ")";
    }
    return std::unexpected(std::move(error));
  }

  /// Once for every engine that does otherwise.
  void check_wishes(const adapters::buildkit::EngineInfo& engine) {
    const bool compresses = config_.image_compression != adapters::buildkit::Compression();
    const bool rewrites = config_.image_epoch == adapters::buildkit::ImageEpoch::layers;
    const bool is_ignored = !engine.exports_to_registry && (compresses || rewrites);
    if (is_ignored && !std::exchange(wishes_ignored_, true)) {
      log_.warning(
          "{} has no effect on images built from a Dockerfile: {} packs them itself, with gzip and "
          "the times of the build; it takes the containerd image store, or BUILDKIT_HOST",
          compresses ? "IMAGE_COMPRESSION" : "IMAGE_EPOCH", engine.name);
    }
    wishes_ignored_ = is_ignored;
  }

  /// Once, when the engine answers for the first time.
  void watch_engine(const std::stop_token& stop) {
    if (std::exchange(engine_watched_, true)) {
      return;
    }
    const std::string& address = docker_ == nullptr ? config_.buildkit_host : config_.docker_host;
    std::string folder = config_.engine_dir;
    if (folder.empty() && !address.starts_with("unix://")) {
      log_.info("the engine's disk is not watched: the engine is on another machine");
      return;
    }
    if (folder.empty() && docker_ == nullptr) {
      folder = k_buildkit_folder;  // It cannot be asked.
    } else if (folder.empty()) {
      auto told = docker_->data_folder(stop);
      engine_watched_ = told.has_value();
      folder = told.value_or(std::string());
    }
    if (!folder.empty()) {
      host_.watch_engine(folder);
    }
  }

  std::vector<std::string> warnings() const {
    std::vector<std::string> warnings;
    if (std::string trouble = service_log_.trouble(); !trouble.empty()) {
      warnings.push_back(std::move(trouble));
    }
    if (std::string warning = queue_->warning(); !warning.empty()) {
      warnings.push_back(std::move(warning));
    }
    if (queue_->guarantee() == "C") {
      warnings.emplace_back("queue guarantee C (ALLOW_UNSAFE_QUEUE): a crash loses jobs");
    }
    return warnings;
  }

  std::string render_metrics() {
    if (const auto length = queue_->length()) {
      metrics_.set_queue_length(*length);
    }
    metrics_.set_guarantee(queue_->guarantee());
    metrics_.set_evictable(!queue_->warning().empty());
    return metrics_.render();
  }

  const Config& config_;
  Signals& signals_;
  WorkDir& work_;
  ServiceLog& service_log_;
  Log log_;
  pipeline::Metrics metrics_;
  HostWatch host_;
  std::stop_source abort_;
  std::unique_ptr<adapters::http::Client> http_;
  std::unique_ptr<adapters::docker::Engine> docker_;
  std::unique_ptr<adapters::ecr::CredentialSource> credentials_;
  std::unique_ptr<adapters::ecr::Api> ecr_;
  adapters::ecr::Logins ecr_logins_;
  adapters::oci::KnownLogins logins_;
  std::unique_ptr<adapters::oci::Client> oci_;
  std::unique_ptr<ports::Registry> registry_;
  std::unique_ptr<adapters::dashboard::Reporter> reporter_;
  pipeline::PlatformWatch platform_;
  std::unique_ptr<ports::SourceFetcher> source_;
  StepLimits limits_;
  std::unique_ptr<adapters::buildkit::Solver> solver_;
  std::unique_ptr<ports::ImageBuilder> image_;
  std::unique_ptr<ports::BuildpacksBuilder> buildpacks_;
  Sync<std::set<std::string>> away_;  ///< Of what is needed to build anything: see `needed`.
  Paced registry_probe_;
  bool engine_watched_ = false;  ///< The health thread's alone, and the next.
  bool wishes_ignored_ = false;
  std::unique_ptr<ports::JobQueue> queue_;
  std::unique_ptr<ports::CancelFeed> cancels_;
  pipeline::JobRunner runner_;
  pipeline::Worker worker_;
};

}  // namespace

Result<> run_service(const Config& config, const std::vector<std::string>& warnings) {
  Signals signals;  // Before the first thread: all of them inherit the blocked mask.
  SecretStore secrets;
  secrets.add_forever(secrets_of(config));
  const auto service_log = make_service_log(config.log_level, secrets, STDERR_FILENO);
  const Log log(service_log);
  log.info("deployra-builder {} starting, {} builds at once", BUILDER_VERSION,
           config.max_parallel_builds);
  for (const std::string& warning : warnings) {
    log.warning("{}", warning);
  }
  for (const std::string& name : secrets.redactor()->skipped()) {
    log.warning("{} is too short or too common to be taken out of logs", name);
  }
  BUILDER_TRY_ASSIGN(WorkDir work, WorkDir::open(config.work_dir, config.worker_id));
  auto http = adapters::http::make_client();
  BUILDER_TRY_ASSIGN(BuildEngine engine, choose_engine(config, *http, log));
  BUILDER_TRY_ASSIGN(auto source,
                     adapters::git::make_source_fetcher(
                         {.work_dir = work.path(),
                          .builds_dir = work.builds(),
                          .policy = config.git_network_policy,
                          .ensure_work_dir = [&work, log] { return ensure(work, log); }},
                         log));
  BUILDER_TRY_ASSIGN(auto bindings, bindings_of(config, secrets));
  Service service(config, signals, work, *service_log, log, secrets, std::move(http),
                  std::move(source), std::move(engine), std::move(bindings));
  return service.run(config);
}

}  // namespace builder::app
