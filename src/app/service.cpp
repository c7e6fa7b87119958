#include "app/service.hpp"

#include "adapters/http/client.hpp"
#include "app/compose/build_parts.hpp"
#include "app/compose/history_parts.hpp"
#include "app/compose/history_writer.hpp"
#include "app/compose/platform_parts.hpp"
#include "app/compose/queue_parts.hpp"
#include "app/compose/registry_parts.hpp"
#include "app/doctor/checks.hpp"
#include "app/health/endpoint.hpp"
#include "app/health/engine_watch.hpp"
#include "app/health/health.hpp"
#include "app/health/history_pages.hpp"
#include "app/host/folder_probe.hpp"
#include "app/host/host_watch.hpp"
#include "app/host/housekeeping.hpp"
#include "app/host/work_dir.hpp"
#include "app/process/log_sink.hpp"
#include "app/process/signals.hpp"
#include "app/process/watchdog.hpp"
#include "base/stop.hpp"
#include "base/sync.hpp"
#include "work/waiting_announcer.hpp"
#include "work/worker.hpp"

#include <systemd/sd-daemon.h>

#include <unistd.h>

#include <exception>
#include <memory>
#include <set>
#include <thread>
#include <utility>

namespace builder::app {

namespace {

/// systemd kills what does not stop in time, unless it is told, before that, that it takes longer.
constexpr std::chrono::seconds k_extend_interval{10};
constexpr const char* k_still_draining = "EXTEND_TIMEOUT_USEC=30000000";

work::JobSettings job_settings(const Config& config, const WorkDir& work) {
  work::JobSettings settings;
  settings.steps = step_settings(config, work);
  settings.channel.backlog.spool = config.log_spool_size;
  settings.channel.backlog.spool_folder = work.builds();
  settings.channel.backlog.log = config.log_limit;
  settings.help_url = config.help_url;
  settings.engine = engine_names(config);
  settings.version = BUILDER_VERSION;
  settings.worker = host_name() + ":" + std::to_string(::getpid());
  settings.image_settings = config.image_settings;
  settings.build_timeout = config.build_timeout;
  settings.silence_timeout = config.silence_timeout;
  settings.image_reference = config.image_reference;
  settings.keep_images = config.ecr_keep_images;
  settings.cache_key = config.api_key;
  return settings;
}

/// Its pages, if there is something to show and somebody may see it.
std::optional<EndpointPages::History> history_of(const Config& config) {
  if (config.history_token.empty() || config.history.keep.bytes == 0) {
    return std::nullopt;
  }
  return EndpointPages::History{.token = config.history_token, .make = history_pages([&config] {
                                                                 return open_local_history(config);
                                                               })};
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

/// A worker: the parts, and what is done with all of them.
class Service {
 public:
  /// The arguments outlive it. Parts that cannot be made are an error before this.
  struct Parts {
    WorkDir& work;
    ServiceLog& service_log;
    SecretStore& secrets;
    RegistryParts& registry;
    BuildParts& build;
    PlatformParts& platform;
  };

  Service(const Config& config, Signals& signals, const Parts& parts, const Log& log)
      : config_(config),
        signals_(signals),
        work_(parts.work),
        service_log_(parts.service_log),
        log_(log),
        registry_(parts.registry),
        platform_(parts.platform),
        host_(config.admission, work_.path(), metrics_, log_),
        engine_(config, parts.build, host_, log_),
        queue_(config, work_, log_),
        history_(make_history_writer(config, metrics_, log_)),
        runner_(
            {*parts.build.source, *parts.build.image, *parts.build.buildpacks, *registry_.registry,
             platform_.watch, *queue_.queue, parts.build.limits.get(), history_.get(),
             registry_.search.get(), registry_.attestations.get(), parts.build.sboms.get()},
            job_settings(config, work_), parts.secrets, metrics_, log_, abort_.get_token()),
        worker_(*queue_.queue, runner_,
                {.can_build =
                     [this] {
                       return !signals_.paused() && away_.lock()->empty() &&
                              platform_.watch.may_take() && host_.refusal().empty() &&
                              ensure(work_, log_).has_value();
                     },
                 .must_shed = [this] { return host_.must_shed(); },
                 .waiting = [this] { return platform_.watch.unknown(); },
                 .built =
                     [this](std::chrono::steady_clock::duration took) {
                       if (announcer_) {
                         announcer_->built(took);
                       }
                     },
                 .parallel_builds = config.max_parallel_builds,
                 .drain_timeout = config.drain_timeout},
                metrics_, log_) {
    if (queue_.waiting_room) {
      announcer_.emplace(
          *queue_.waiting_room, *platform_.reporter,
          work::AnnouncerSettings{.may_post = [this] { return platform_.watch.may_take(); }},
          metrics_, log_);
    }
  }

  Result<> run() {
    HealthMonitor health(checks(), metrics_, log_, [] { sd_notify(0, "READY=1"); });
    BUILDER_TRY_ASSIGN(const auto endpoint,
                       Endpoint::start(config_.http_listen,
                                       {.not_ready_reasons = [&] { return health.reasons(); },
                                        .warnings = [this] { return warnings(); },
                                        .metrics = [this] { return render_metrics(); },
                                        .history = history_of(config_)},
                                       log_));
    signals_.listen(log_);
    const Watchdog watchdog;
    const Housekeeping housekeeping(
        work_, host_, config_.mirror_cache_size, [this] { return worker_.idle(); }, log_);
    std::jthread cancel_thread([this](const std::stop_token& stop) {
      queue_.cancels->run(stop, [this](const domain::DeploymentId& id) { worker_.on_cancel(id); });
    });
    std::jthread announcing;
    if (announcer_) {
      announcing = std::jthread([this](const std::stop_token& stop) { announcer_->run(stop); });
    }
    const Result<> ended = take_jobs(signals_.drain());
    announcing.request_stop();
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

  std::vector<HealthCheck> checks() {
    std::vector<HealthCheck> checks;
    checks.push_back({"redis", [this](const std::stop_token&) -> Result<> {
                        BUILDER_TRY_ASSIGN(const std::size_t length, queue_.check());
                        metrics_.set_queue_length(length);
                        return {};
                      }});
    checks.push_back(
        needed("engine", [this](const std::stop_token& stop) { return engine_.look(stop); }));
    checks.push_back(
        needed("versions", [this](const std::stop_token&) { return engine_.verdict(); }));
    checks.push_back(
        needed("work dir", [this](const std::stop_token&) { return check_work_dir(); }));
    checks.push_back(needed("registry", [this](const std::stop_token& stop) {
      return registry_check_.ask(runner_.faults().count(), [&] { return registry_.check(stop); });
    }));
    checks.push_back({"builds", [this](const std::stop_token&) -> Result<> {
                        std::string reason = runner_.faults().reason();
                        return reason.empty() ? Result<>()
                                              : failure(ErrorKind::denied, std::move(reason));
                      }});
    // Never in the way. What a reader that had stalled left goes on, though nothing new is written.
    checks.push_back({"service log", [this](const std::stop_token&) -> Result<> {
                        [[maybe_unused]] const std::string told = service_log_.trouble();
                        return {};
                      }});
    checks.push_back({"taking", [this](const std::stop_token&) -> Result<> {
                        return signals_.paused() ? failure(ErrorKind::unavailable,
                                                           "paused by SIGUSR2; another one resumes")
                                                 : Result<>();
                      }});
    checks.push_back({.name = "paused",
                      .probe = [this](const std::stop_token&) -> Result<> {
                        const auto pause = queue_.queue->pause();
                        return pause ? failure(ErrorKind::unavailable,
                                               ports::in_words(*pause) +
                                                   " (deployra-builder resume ends it)")
                                     : Result<>();
                      },
                      .is_asked_for = true});
    checks.push_back({"queue", [this](const std::stop_token&) -> Result<> {
                        std::string problem = worker_.take_problem();
                        return problem.empty() ? Result<>()
                                               : failure(ErrorKind::conflict, std::move(problem));
                      }});
    checks.push_back({"host", [this](const std::stop_token&) -> Result<> {
                        std::string refusal = host_.refusal();
                        return refusal.empty()
                                   ? Result<>()
                                   : failure(ErrorKind::unavailable, std::move(refusal));
                      }});
    checks.push_back({"platform", [this](const std::stop_token& stop) -> Result<> {
                        BUILDER_TRY(platform_.check(stop));
                        std::string reason = worker_.paused_because();
                        return reason.empty() ? Result<>()
                                              : failure(ErrorKind::denied, std::move(reason));
                      }});
    return checks;
  }

  /// Something without which nothing can be built: no job is taken before it has answered, nor
  /// while it does not.
  HealthCheck needed(const std::string& name,
                     std::function<Result<>(const std::stop_token&)> probe) {
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

  std::vector<std::string> warnings() const {
    std::vector<std::string> warnings;
    if (std::string trouble = service_log_.trouble(); !trouble.empty()) {
      warnings.push_back(std::move(trouble));
    }
    if (std::string warning = queue_.queue->warning(); !warning.empty()) {
      warnings.push_back(std::move(warning));
    }
    if (queue_.queue->guarantee() == "C") {
      warnings.emplace_back("queue guarantee C (ALLOW_UNSAFE_QUEUE): a crash loses jobs");
    }
    const auto engine = engine_.warnings();
    warnings.insert(warnings.end(), engine.begin(), engine.end());
    return warnings;
  }

  /// For the endpoint, which must not wait: the health check asks for the queue's length.
  std::string render_metrics() {
    metrics_.set_guarantee(queue_.queue->guarantee());
    metrics_.set_paused(queue_.queue->pause().has_value() || signals_.paused());
    metrics_.set_evictable(!queue_.queue->warning().empty());
    metrics_.service_log_dropped(service_log_.dropped());
    return metrics_.render();
  }

  const Config& config_;
  Signals& signals_;
  WorkDir& work_;
  ServiceLog& service_log_;
  const Log log_;
  RegistryParts& registry_;
  PlatformParts& platform_;
  ports::Metrics metrics_;
  HostWatch host_;
  EngineWatch engine_;
  std::stop_source abort_;
  Sync<std::set<std::string>> away_;  ///< Of what is needed to build anything: see `needed`.
  Paced registry_check_;              ///< The health thread's alone.
  QueueParts queue_;
  std::unique_ptr<ports::BuildHistory> history_;  ///< Null: none is kept.
  work::JobRunner runner_;
  std::optional<work::WaitingAnnouncer> announcer_;  ///< None: nobody is told that they wait.
  work::Worker worker_;
};

}  // namespace

Result<> run_service(const Config& config, const std::vector<std::string>& warnings,
                     bool is_log_coloured) {
  Signals signals;  // Before the first thread: all of them inherit the blocked mask.
  SecretStore secrets;
  const std::vector<std::string> readable = secrets.add_forever(secrets_of(config));
  const auto service_log = make_service_log(
      {.level = config.log_level, .format = config.log_format, .coloured = is_log_coloured},
      secrets, STDERR_FILENO);
  const Log log(service_log);
  log.info("deployra-builder {} starting, {} builds at once", BUILDER_VERSION,
           config.max_parallel_builds);
  for (const std::string& warning : warnings) {
    log.warning("{}", warning);
  }
  for (const std::string& name : readable) {
    log.warning("{} is too short, too long or too common to be taken out of logs", name);
  }
  Report limits("host", secrets);
  check_limits(config, limits);
  for (const Finding& finding : limits.findings()) {
    if (finding.state == State::warning) {
      log.warning("{}; {}", finding.text, finding.cure);
    }
  }
  if (config.git_network_policy != adapters::network::NetworkPolicy::public_only) {
    log.info(
        "customers' repositories may be at private addresses; where customers are strangers set "
        "GIT_NETWORK_POLICY=public, and GIT_ALLOWED_HOSTS to the forges of your own "
        "(docs/security.md)");
  }
  BUILDER_TRY_ASSIGN(WorkDir work, WorkDir::open(config.work_dir, config.worker_id));
  const auto http = adapters::http::make_client();
  RegistryParts registry(config, *http, secrets, log);
  BUILDER_TRY_ASSIGN(
      const auto build,
      BuildParts::make(config, work, *http, {*registry.registry, registry.logins, *registry.oci},
                       secrets, log));
  PlatformParts platform(config, *http);
  return Service(config, signals, {work, *service_log, secrets, registry, *build, platform}, log)
      .run();
}

}  // namespace builder::app
