#include "adapters/buildkit/client/solver.hpp"

#include "adapters/buildkit/client/daemon.hpp"
#include "adapters/buildkit/client/downloads.hpp"
#include "adapters/buildkit/client/grpc_library.hpp"
#include "adapters/buildkit/client/image_resolver.hpp"
#include "adapters/buildkit/client/progress.hpp"
#include "adapters/buildkit/client/session.hpp"
#include "adapters/buildkit/client/solve.hpp"
#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "adapters/buildkit/diagnosis/build_policy.hpp"
#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "adapters/buildkit/diagnosis/final_image.hpp"
#include "adapters/buildkit/diagnosis/foreign_base.hpp"
#include "adapters/buildkit/diagnosis/rebuild.hpp"
#include "adapters/buildkit/diagnosis/secret_mounts.hpp"
#include "adapters/buildkit/transfer/tar.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "domain/platform_name.hpp"
#include "domain/variable_delivery.hpp"
#include "ports/overlay_tree.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>
#include <variant>

namespace builder::adapters::buildkit {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How often an engine that is away is knocked at.
constexpr milliseconds k_return_interval{250};
constexpr std::chrono::seconds k_describe_limit{10};
/// For what a build downloaded: the deployment waits for it.
constexpr std::chrono::seconds k_record_limit{5};
constexpr std::string_view k_cgroup_parent = "cgroup-parent";
constexpr std::string_view k_tar_exporter = "tar";
/// Known to every frontend that knows cache mounts, Engine 20.10's included.
constexpr std::string_view k_cache_namespace = "build-arg:BUILDKIT_CACHE_MOUNT_NS";
constexpr std::string_view k_dockerfile = "Dockerfile";
constexpr std::string_view k_own_secrets = "secrets-";
constexpr std::string_view k_add_hosts = "add-hosts";

/// Does what no build has to wait for, off the builds' threads. What was given to it is done before
/// its destructor returns.
class Afterwards {
 public:
  using Task = std::move_only_function<void()>;

  void add(Task task) {
    {
      const std::scoped_lock lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
  }

 private:
  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !tasks_.empty(); }), !tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = {};
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Task> tasks_;
  std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};
};

/// Nothing is given or taken any more when it is let go; the rest takes up to a fifth of a second,
/// for which no build waits. It also ends the daemon's side.
struct CloseLater {
  Afterwards* afterwards;

  void operator()(Session* session) const {
    session->stop();
    afterwards->add([closed = std::unique_ptr<Session>(session)] {});
  }
};

using OpenSession = std::unique_ptr<Session, CloseLater>;

/// Finds out, while images for several platforms are built, whether their base images are for those
/// platforms. What spoils a result ends the build at once.
class BaseWatch {
 public:
  using Ask = std::function<std::string(const LookedUpImage&)>;

  /// `ask`: what the image is for; called on threads of this object's. `tell`: warnings. Both
  /// outlive it.
  BaseWatch(ForeignBases bases, Ask ask, std::function<void(std::string)> tell,
            std::stop_source solve)
      : bases_(std::move(bases)),
        ask_(std::move(ask)),
        tell_(std::move(tell)),
        solve_(std::move(solve)) {}

  /// From one thread.
  void look_at(const LookedUpImage& image) {
    if (seen_.size() >= k_most_images || !seen_.insert(image).second) {
      return;
    }
    // Deferred where no thread can be had.
    asked_.push_back(std::async(std::launch::async | std::launch::deferred, [this, image] {
      auto finding = bases_.judge(image, ask_(image));
      if (finding && finding->spoils_result) {
        spoil(std::move(finding->line));
      } else if (finding) {
        tell_(std::move(finding->line));
      }
    }));
  }

  /// The first one counts.
  void spoil(std::string line) {
    if (auto fault = fault_.lock(); !*fault) {
      fault->emplace(Error{.kind = ErrorKind::build_failed,
                           .message = "a base image is for another platform",
                           .customer = std::move(line)});
    }
    solve_.request_stop();
  }

  [[nodiscard]] const ForeignBases& bases() const { return bases_; }

  /// Behind the solve. Waits for what was asked.
  std::optional<Error> fault() {
    for (std::future<void>& one : asked_) {
      one.wait();
    }
    return *fault_.lock();
  }

 private:
  static constexpr std::size_t k_most_images = 64;

  const ForeignBases bases_;
  const Ask ask_;
  const std::function<void(std::string)> tell_;
  std::stop_source solve_;
  Sync<std::optional<Error>> fault_;
  std::set<LookedUpImage> seen_;
  std::vector<std::future<void>> asked_;
};

/// Passes events on, lets the limits know which steps run, and keeps what became of them.
class WatchedEvents final : public domain::EventSink {
 public:
  using Started = std::function<void(const domain::StepStarted&)>;

  /// `started`: told of steps as well.
  WatchedEvents(domain::EventSink& events, ports::WatchedSolve* watched, Started started)
      : events_(events), watched_(watched), started_(std::move(started)) {}

  void emit(domain::BuildEvent event) override {
    if (const auto* started = std::get_if<domain::StepStarted>(&event)) {
      started_(*started);
      if (watched_ != nullptr) {
        watched_->step_started(started->step, started->name);
      }
    } else if (const auto* ended = std::get_if<domain::StepFinished>(&event); ended != nullptr) {
      if (watched_ != nullptr) {
        watched_->step_ended(ended->step);
      }
      if (ran_.size() < k_most_steps) {
        ran_.push_back({ended->name, ended->cached, ended->duration});
      }
    }
    events_.emit(std::move(event));
  }

  /// Behind the solve.
  [[nodiscard]] std::vector<RanStep> take_steps() { return std::move(ran_); }

 private:
  static constexpr std::size_t k_most_steps = 2'000;

  domain::EventSink& events_;
  ports::WatchedSolve* watched_;
  const Started started_;
  std::vector<RanStep> ran_;
};

std::optional<Error> interruption(const ports::JobContext& job) {
  if (steady_clock::now() >= job.deadline) {
    return Error{.kind = ErrorKind::timed_out, .message = "the build took too long"};
  }
  if (job.stop.stop_requested()) {
    return Error{.kind = ErrorKind::cancelled, .message = "the build was stopped"};
  }
  return std::nullopt;
}

grpc::Status as_written(const grpc::Status& status, const SecretMounts& mounts) {
  return status.ok()
             ? status
             : grpc::Status(status.error_code(), mounts.without_versions(status.error_message()),
                            status.error_details());
}

class BuildkitSolver final : public Solver {
 public:
  BuildkitSolver(SolverSettings settings, std::unique_ptr<Connector> connector,
                 ports::RegistryLogins& logins, Log log)
      : settings_(std::move(settings)),
        logins_(logins),
        log_(std::move(log)),
        connector_(std::move(connector)) {}

  std::expected<Solved, SolveFailure> solve(const ports::JobContext& job, const SolveSpec& spec,
                                            domain::EventSink& events) override {
    std::uint32_t next_step = 1;
    return solve_from(job, spec, events, next_step);
  }

  Result<std::vector<domain::BaseImage>> find_bases(
      const ports::JobContext& job, const ports::Repository& repository,
      const std::vector<std::string>& names) override {
    // An index answers with its own digest for whatever it has.
    std::vector<std::string> platforms{std::string(domain::k_default_platform)};
    if (std::string own = machine(job.stop);
        !own.empty() && !domain::is_same_machine(own, platforms.front())) {
      platforms.push_back(std::move(own));
    }
    std::vector<ImageQuestion> questions;
    questions.reserve(names.size() * platforms.size());
    for (const std::string& platform : platforms) {
      for (const std::string& name : names) {
        questions.push_back({.name = name, .platform = platform});
      }
    }
    BUILDER_TRY_ASSIGN(const auto images, resolve(job, repository, questions));
    std::vector<domain::BaseImage> found;
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (std::size_t at = i; at < images.size(); at += names.size()) {
        if (images[at]) {
          found.push_back({.name = names[i], .digest = images[at]->digest});
          break;
        }
      }
    }
    return found;
  }

  Result<EngineInfo> engine(const std::stop_token& stop) override {
    auto described = connector_->describe({.deployment_id = domain::DeploymentId("-"),
                                           .stop = stop,
                                           .deadline = steady_clock::now() + k_describe_limit});
    if (!described) {
      return described;
    }
    if (settings_.needs_isolation && described->shares_network) {
      engine_.lock()->reset();
      return std::unexpected(
          Error{.kind = ErrorKind::conflict,
                .message = fmt::format("RUN steps of {} share its own network, which "
                                       "BUILD_NETWORK_ISOLATION=require forbids: start it with "
                                       "--oci-worker-net=bridge or cni",
                                       described->name),
                .setting = "BUILD_NETWORK_ISOLATION"});
    }
    const bool is_new = *engine_.lock() != *described;
    *engine_.lock() = *described;
    if (is_new) {
      log_.info("engine: {}", described->name);
      for (const std::string& feature : missing_features(*described)) {
        log_.info("engine: it lacks {}", feature);
      }
      check_limits(*described);
      if (settings_.records_downloads && !described->records_downloads) {
        log_.warning(
            "{} does not record what steps download: RECORD_DOWNLOADS has no effect (it needs a "
            "standalone BuildKit 0.31)",
            described->name);
      }
      if (settings_.gate != nullptr && !has_source_policies(*described)) {
        log_.warning(
            "{} knows no source policies: POLICY_FILE is kept by what Dockerfiles say, and by what "
            "the engine says it has taken",
            described->name);
      }
    }
    return described;
  }

  Result<std::uint64_t> cache_size(const ports::JobContext& job) override {
    BUILDER_TRY_ASSIGN(const auto channel, connector_->control(job));
    const auto size = ask_cache_size(job, channel);
    return size ? Result<std::uint64_t>(*size)
                : failure(ErrorKind::unavailable, size.error().error_message());
  }

  Result<EngineInfo> known_engine(const std::stop_token& stop) override {
    if (const auto known = *engine_.lock()) {
      return *known;
    }
    return engine(stop);
  }

 private:
  /// What became of an attempt, apart from its result.
  enum class Way { ended, engine_lost, engine_unreachable, mixes_results, mixes_secrets };

  struct Attempt {
    std::expected<Solved, SolveFailure> result;
    Way way = Way::ended;
  };

  /// What is found out while the engine asks for things. Shared with the session, which is closed
  /// behind the solve.
  class Findings {
   public:
    /// Null: nobody is told.
    explicit Findings(domain::EventSink* events) : events_(events) {}

    std::atomic<bool> registry_is_closed = false;  ///< See `FailedSolve`.
    /// Not `ended`: the solve ends at once, and another one follows. See `with_own_results`.
    std::atomic<Way> way = Way::ended;

    [[nodiscard]] bool solves_anew() const { return way != Way::ended; }

    void tell(std::string line, domain::LogType type = domain::LogType::info) {
      const std::scoped_lock lock(mutex_);
      if (events_ != nullptr) {
        events_->emit(domain::Message{type, std::move(line)});
      }
    }

    /// Behind the solve nobody listens any more.
    void end() {
      const std::scoped_lock lock(mutex_);
      events_ = nullptr;
    }

   private:
    std::mutex mutex_;
    domain::EventSink* events_;
  };

  /// While a solve is under way: the session, which is closed later, may still find out something.
  class Listening {
   public:
    explicit Listening(Findings& findings) : findings_(findings) {}

    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;

    ~Listening() { findings_.end(); }

   private:
    Findings& findings_;
  };

  /// A solve that is not to be has nothing to tell.
  class UntilItEnds final : public domain::EventSink {
   public:
    UntilItEnds(domain::EventSink& events, const Findings& findings)
        : events_(events), findings_(findings) {}

    void emit(domain::BuildEvent event) override {
      if (!findings_.solves_anew()) {
        events_.emit(std::move(event));
      }
    }

   private:
    domain::EventSink& events_;
    const Findings& findings_;
  };

  /// Newer engines leave the id of a cache mount out of what they know a RUN's result by: a service
  /// would get what another one made of its own cache. And all engines leave the content of a
  /// secret out of it (`SecretMounts` gives most of them a version). A host's name is part of it;
  /// its address is not used. Results of other Dockerfiles stay common to all services.
  static SolveSpec with_own_results(SolveSpec spec, Way why) {
    const bool by_secrets = why == Way::mixes_secrets;
    const std::string whose =
        sha256_hex("results of " + spec.cache_namespace.reveal() +
                   (by_secrets ? SecretMounts(spec.variables).fingerprint() : std::string()));
    spec.frontend[std::string(k_add_hosts)] = std::string(by_secrets ? k_own_secrets : "cache-") +
                                              whose.substr(0, 16) + ".invalid=0.0.0.0";
    return spec;
  }

  static bool has_own_secrets(const SolveSpec& spec) {
    const auto hosts = spec.frontend.find(std::string(k_add_hosts));
    return hosts != spec.frontend.end() && hosts->second.starts_with(k_own_secrets);
  }

  [[nodiscard]] bool mixes_results(const ports::JobContext& job, const SolveSpec& spec,
                                   std::string_view dockerfile) {
    if (spec.cache_namespace.empty() || spec.frontend.contains(std::string(k_add_hosts)) ||
        !names_cache_mounts(dockerfile)) {
      return false;
    }
    const auto engine = known_engine(job.stop);
    return !engine || forgets_cache_ids(*engine);
  }

  std::expected<Solved, SolveFailure> solve_from(const ports::JobContext& job,
                                                 const SolveSpec& spec, domain::EventSink& events,
                                                 std::uint32_t& next_step) {
    Attempt attempt = solve_once(job, spec, events, next_step);
    if (attempt.way == Way::mixes_results || attempt.way == Way::mixes_secrets) {
      return solve_from(job, with_own_results(spec, attempt.way), events, next_step);
    }
    if (attempt.way == Way::ended) {
      return std::move(attempt.result);
    }
    job.log.warning("engine away: {}", attempt.result.error().error.message);
    engine_.lock()->reset();
    const bool lost = attempt.way == Way::engine_lost;
    if (lost && !job.retries->take()) {
      return std::move(attempt.result);
    }
    events.warning(lost ? "The build engine went away during the build; waiting for it to return."
                        : "The build engine cannot be reached; waiting for it to return.");
    if (auto returned = wait_for_engine(job); !returned) {
      Error away = std::move(returned).error();
      // A build may have taken its engine with it; one that never began has not.
      const bool never_began = !lost && away.kind == ErrorKind::unavailable;
      return std::unexpected(
          SolveFailure{.error = never_began ? std::move(away).for_operator(settings_.engine_setting)
                                            : std::move(away)});
    }
    events.warning(lost ? "The build engine is back; the build starts again."
                        : "The build engine is back; the build starts.");
    attempt = solve_once(job, spec, events, next_step);
    return attempt.way == Way::mixes_results || attempt.way == Way::mixes_secrets
               ? solve_from(job, with_own_results(spec, attempt.way), events, next_step)
               : std::move(attempt.result);
  }

  /// The first look at a Dockerfile decides.
  struct Checked {
    std::once_flag once;
    Result<std::shared_ptr<const ports::SourceTree>> tree;
  };

  static Attempt failed(Error error) {
    return {.result = std::unexpected(SolveFailure{.error = std::move(error)})};
  }

  /// In a session that can do nothing else.
  Result<std::vector<std::optional<ResolvedImage>>> resolve(
      const ports::JobContext& job, const std::optional<ports::Repository>& repository,
      const std::vector<ImageQuestion>& questions) {
    BUILDER_TRY_ASSIGN(const auto channel, connector_->control(job));
    const auto findings = std::make_shared<Findings>(nullptr);
    SessionContent content;
    content.login = [this, job, spec = SolveSpec{.repository = repository},
                     findings](const std::string& host) {
      return login_of_build(job, spec, host, *findings);
    };
    const OpenSession session = open_session(std::move(content));
    BUILDER_TRY(session->attach(*connector_, job));
    return resolve_images(job, channel, session->id(), questions);
  }

  static std::string pinned(const SolveSpec& spec, const std::string& image) {
    const auto pin = spec.pins.find(image);
    return pin == spec.pins.end() ? image : image + "@" + pin->second;
  }

  /// What an image is for that is not for the platform of a build; empty: it is not known.
  std::vector<std::string> platforms_of(const ports::JobContext& job, const SolveSpec& spec,
                                        const std::string& image) {
    std::vector<ImageQuestion> questions;
    for (const std::string_view platform : domain::k_usual_platforms) {
      questions.push_back({.name = pinned(spec, image), .platform = std::string(platform)});
    }
    std::vector<std::string> platforms;
    const auto found = resolve(job, spec.repository, questions);
    if (!found) {
      job.log.debug("{} is not looked at: {}", image, found.error().message);
      return platforms;
    }
    for (const auto& one : *found) {
      // Some machines take images of others: an index answers for what it does not name.
      if (one && !one->platform.empty() &&
          std::ranges::find(platforms, one->platform) == platforms.end()) {
        platforms.push_back(one->platform);
      }
    }
    return platforms;
  }

  OpenSession open_session(SessionContent content) {
    return OpenSession(new Session(std::move(content)), CloseLater{&afterwards_});
  }

  Attempt solve_once(const ports::JobContext& job, const SolveSpec& spec, domain::EventSink& events,
                     std::uint32_t& next_step) {
    if (auto stopped = interruption(job)) {
      return failed(*std::move(stopped));
    }
    if (settings_.needs_isolation) {
      if (auto engine = known_engine(job.stop); !engine) {
        return unreachable(job, std::move(engine).error());
      }
    }
    const auto begin = steady_clock::now();
    auto channel = connector_->control(job);
    if (!channel) {
      return unreachable(job, std::move(channel).error());
    }
    const auto findings = std::make_shared<Findings>(&events);
    const Listening listening(*findings);
    UntilItEnds told(events, *findings);
    const auto mounts = std::make_shared<const SecretMounts>(spec.variables);
    SessionContent content{.shared_key = settings_.shared_key_prefix + spec.service_id.str(),
                           .tree = spec.context,
                           .secrets = mounts->for_session(),
                           .dockerfile = {},
                           .login =
                               [this, job, spec, findings](const std::string& host) {
                                 return login_of_build(job, spec, host, *findings);
                               },
                           .result = spec.result};
    content.secrets.insert(spec.secrets.begin(), spec.secrets.end());
    content.sockets = spec.sockets;
    if (!has_own_secrets(spec)) {
      content.may_give = [mounts, findings](const std::string& id) {
        if (mounts->is_plain(id)) {
          findings->way = Way::mixes_secrets;
        }
        return findings->way != Way::mixes_secrets;
      };
    }
    if (spec.is_customers) {
      const bool tells = next_step == 1;
      content.dockerfile = [this, job, spec, findings, mounts, tells,
                            checked = std::make_shared<Checked>()] {
        std::call_once(checked->once, [&] {
          checked->tree = checked_dockerfile(job, spec, *mounts, *findings, tells);
        });
        return checked->tree;
      };
    }
    const OpenSession session = open_session(std::move(content));
    if (auto attached = session->attach(*connector_, job); !attached) {
      return unreachable(job, std::move(attached).error());
    }
    const auto connected = steady_clock::now();
    // Beside the solve: the Dockerfile may not be there yet, and the engine has other things to do.
    std::future<void> foreseen;
    if (next_step == 1 && !spec.frontend.contains(std::string(k_add_hosts)) && !is_recent()) {
      foreseen = std::async(std::launch::async, [&] { foresee(job, spec, events); });
    }
    if (auto native = check_native(job, spec); !native) {
      return failed(std::move(native).error());
    }
    if (next_step == 1) {
      tell_foreign(job, spec, *findings);
    }
    auto admitted = admit(job, spec);
    if (!admitted) {
      return failed(std::move(admitted).error());
    }
    std::map<std::string, std::string> exporter = spec.exporter_attributes;
    if (const auto engine = *engine_.lock(); spec.epoch && (!engine || has_image_epoch(*engine))) {
      auto epoch = spec.epoch();
      if (!epoch) {
        return failed(std::move(epoch).error());
      }
      exporter["source-date-epoch"] = std::to_string(epoch->time_since_epoch().count());
    }
    auto request = request_for(spec, exporter, *session, *admitted);
    const bool records = records_downloads(job, spec);
    request.set_internal(!records);  // Only of others a record is kept.
    request.set_proxy_network(records);
    if (spec.labels) {
      auto labels = labels_of(job, spec);
      if (!labels) {
        return failed(std::move(labels).error());
      }
      for (const auto& [name, value] : *labels) {
        (*request.mutable_frontend_attrs())["label:" + name] = value;
      }
    }
    const std::unique_ptr<ports::WatchedSolve> watched =
        settings_.limits == nullptr ? nullptr : settings_.limits->watch(job.deployment_id);
    std::stop_source stop;
    const std::stop_callback stops_with_job(job.stop, [&stop] { stop.request_stop(); });
    ports::JobContext stoppable = job;
    stoppable.stop = stop.get_token();
    std::unique_ptr<BaseWatch> bases;
    std::optional<Error> emulated;
    WatchedEvents watched_events(told, watched.get(), [&](const domain::StepStarted& step) {
      if (settings_.refuses_emulation && spec.is_customers && !step.cached && !emulated) {
        emulated = emulation_fault(job, spec, step.name);
        if (emulated) {
          stop.request_stop();
        }
      }
      const auto image = is_for_several(spec)
                             ? looked_up_image(step.name, spec.frontend.at("platform"))
                             : std::nullopt;
      if (!image) {
        return;
      }
      if (bases == nullptr) {
        bases = watch_bases(stoppable, spec, *channel, session->id(), *findings, stop);
      }
      bases->look_at(*image);
    });
    Progress progress(watched_events, next_step, mounts.get(), records);
    SolveOutcome outcome = run_solve(*channel, reserve_for(job), stoppable, request, progress);
    std::optional<Error> foreign = bases == nullptr ? std::nullopt : bases->fault();
    if (!foreign) {
      foreign = std::move(emulated);
    }
    outcome.status = as_written(outcome.status, *mounts);
    next_step = progress.next_step();
    job.log.debug("solve: connect={}us first_status={}us solve={}us tail={}us",
                  std::chrono::duration_cast<std::chrono::microseconds>(connected - begin).count(),
                  outcome.first_status.count(), outcome.solve.count(), outcome.tail.count());
    session->stop();
    findings->end();
    Attempt attempt = foreign && !interruption(job)
                          ? failed(*std::move(foreign))
                          : judge(job, spec, events, outcome, progress, *session, *findings);
    if (attempt.result && is_judged(spec) && !keeps_policies(job.stop)) {
      if (auto taken =
              check_taken(settings_.gate->policy(), spec.dockerfile, progress.taken(), *admitted);
          !taken) {
        attempt = failed(std::move(taken).error());
      }
    }
    if (attempt.result && records) {
      attempt.result->downloads = downloads_of(job, *channel, request.ref(), progress);
    }
    if (records && attempt.way != Way::engine_lost) {
      afterwards_.add(
          [log = job.log, way = *channel, ref = request.ref()] { forget_record(log, way, ref); });
    }
    if (attempt.result) {
      tell_rebuild(spec, {watched_events.take_steps(), session->changed_files()}, events);
    }
    if (const auto limit = watched ? watched->exhausted_memory() : std::nullopt) {
      tell_exhausted(*limit, attempt, events);
    }
    if (attempt.way == Way::engine_lost) {
      connector_->discard(*channel);
    }
    return attempt;
  }

  bool records_downloads(const ports::JobContext& job, const SolveSpec& spec) {
    if (!settings_.records_downloads || !spec.is_customers || !pushes(spec)) {
      return false;
    }
    const auto engine = known_engine(job.stop);
    return engine && engine->records_downloads;
  }

  static bool pushes(const SolveSpec& spec) { return spec.exporter_attributes.contains("push"); }

  /// Best effort: without it the provenance does not speak of downloads.
  static std::optional<domain::Downloads> downloads_of(
      const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel,
      const std::string& ref, const Progress& progress) {
    const auto recorded = recorded_downloads(job.within(k_record_limit), channel, ref);
    if (!recorded) {
      job.log.warning("RECORD_DOWNLOADS: what the build downloaded is not known: {}",
                      recorded.error().message);
      return std::nullopt;
    }
    const bool has_proxy = recorded->has_proxy || !progress.has_runs();
    return domain::Downloads{.files = {recorded->files.begin(), recorded->files.end()},
                             .are_all = recorded->is_whole && has_proxy && progress.all_ran()};
  }

  /// Of a customer's Dockerfile.
  static bool is_for_several(const SolveSpec& spec) {
    const auto platform = spec.frontend.find("platform");
    return spec.is_customers && platform != spec.frontend.end() &&
           (spec.is_one_of_several || platform->second.contains(','));
  }

  /// The arguments outlive it. The Dockerfile is there: steps of it run.
  std::unique_ptr<BaseWatch> watch_bases(const ports::JobContext& job, const SolveSpec& spec,
                                         const std::shared_ptr<grpc::Channel>& channel,
                                         const std::string& session, Findings& findings,
                                         const std::stop_source& solve) {
    auto watch = std::make_unique<BaseWatch>(
        foreign_bases(spec, spec.frontend.at("platform")),
        [&job, &spec, channel, session](const LookedUpImage& image) {
          const std::string name = pinned(spec, image.name);
          const auto answer = [&](const std::string& platform) {
            return resolve_images(job, channel, session, {{.name = name, .platform = platform}})
                .front();
          };
          const auto found = answer(image.platform);
          const bool is_foreign =
              found && !domain::is_same_machine(found->platform, image.platform);
          // What an index says of its images is believed, as engines do: some are built with
          // another machine in their configuration. It has none for a machine that is not there.
          return found && (!is_foreign || answer("linux/none")) ? found->platform : std::string();
        },
        [&findings](std::string line) { findings.tell(std::move(line), domain::LogType::warning); },
        solve);
    if (std::string line = watch->bases().foreign_flag(machine(job.stop)); !line.empty()) {
      watch->spoil(std::move(line));
    }
    return watch;
  }

  static ForeignBases foreign_bases(const SolveSpec& spec, std::string_view platforms) {
    const auto text = read_dockerfile(spec);
    const auto target = spec.frontend.find("target");
    return {spec.dockerfile, text && *text ? **text : std::string(),
            target == spec.frontend.end() ? std::string() : target->second,
            domain::platforms_in(platforms), arguments_of(spec)};
  }

  /// What an engine's own machine is, as far as it is known; empty: not.
  std::string machine(const std::stop_token& stop) {
    const auto engine = known_engine(stop);
    return engine && !engine->platforms.empty() ? engine->platforms.front() : std::string();
  }

  /// A step that begins and would run programs of another machine. The Dockerfile is there.
  std::optional<Error> emulation_fault(const ports::JobContext& job, const SolveSpec& spec,
                                       const std::string& step) {
    if (!step.contains("RUN ")) {
      return std::nullopt;
    }
    const std::string own = machine(job.stop);
    const auto asked = spec.frontend.find("platform");
    std::string line = foreign_bases(spec, asked == spec.frontend.end() ? own : asked->second)
                           .foreign_run(step, own);
    return line.empty()
               ? std::nullopt
               : std::optional(Error{.kind = ErrorKind::build_failed,
                                     .message = "a step needs emulation (PLATFORM_EMULATION)",
                                     .customer = std::move(line)});
  }

  /// Builders run their programs whatever the source is.
  Result<> check_native(const ports::JobContext& job, const SolveSpec& spec) {
    const auto asked = spec.frontend.find("platform");
    if (!settings_.refuses_emulation || spec.is_customers || asked == spec.frontend.end()) {
      return {};
    }
    const auto engine = known_engine(job.stop);
    if (!engine || is_native(*engine, asked->second)) {
      return {};
    }
    return std::unexpected(emulation_refused(*engine, asked->second));
  }

  static Attempt unreachable(const ports::JobContext& job, Error error) {
    Attempt attempt = failed(std::move(error));
    const ErrorKind kind = attempt.result.error().error.kind;
    if (!interruption(job) && (kind == ErrorKind::unavailable || kind == ErrorKind::timed_out)) {
      attempt.way = Way::engine_unreachable;
    }
    return attempt;
  }

  /// Says which attributes of this build the engine's version ignores, which it does without a
  /// word.
  void foresee(const ports::JobContext& job, const SolveSpec& spec, domain::EventSink& events) {
    const auto engine = known_engine(job.stop);
    if (!engine) {
      return;
    }
    for (const auto& [attribute, value] : spec.frontend) {
      if (!knows_attribute(*engine, attribute)) {
        job.log.warning("{} ignores '{}'", engine->name, attribute);
        events.warning("The build engine is too old for '" + attribute + "', which has no effect");
      }
    }
    if (!spec.pins.empty() && !has_source_policies(*engine)) {
      job.log.warning("{} knows no source policies, which base images are pinned with",
                      engine->name);
      events.warning(
          "The build engine is older than BuildKit 0.11: of base images it takes the pinned "
          "version "
          "where a FROM names them without variables, and of others what the registry has now");
    }
  }

  /// An image for other machines can be made without running anything on them, so this ends no
  /// build.
  void tell_foreign(const ports::JobContext& job, const SolveSpec& spec, Findings& findings) {
    const auto platform = spec.frontend.find("platform");
    if (platform == spec.frontend.end()) {
      return;
    }
    const auto engine = known_engine(job.stop);
    if (!engine) {
      return;
    }
    for (const std::string& one : domain::platforms_in(platform->second)) {
      if (!runs_platform(*engine, one)) {
        findings.tell(
            fmt::format("This engine runs nothing for {} (it has {}): a RUN fails unless its stage "
                        "is FROM --platform=$BUILDPLATFORM",
                        printable_line(one, 40), fmt::join(engine->platforms, ", ")),
            domain::LogType::warning);
      } else if (!settings_.refuses_emulation && !is_native(*engine, one)) {
        findings.tell(
            fmt::format("Programs for {} are emulated here, on a machine that is {}: "
                        "they run many times slower",
                        printable_line(one, 40), engine->platforms.front()));
      }
    }
  }

  /// Of a customer's Dockerfile that is cached at all.
  static void tell_rebuild(const SolveSpec& spec, const CacheUse& use, domain::EventSink& events) {
    if (!spec.is_customers || spec.frontend.contains("no-cache") || use.changed.empty()) {
      return;
    }
    if (const auto text =
            ports::read_file(*spec.of_dockerfile(), spec.dockerfile, k_dockerfile_limit)) {
      if (auto line = avoidable_rebuild(Dockerfile(*text), use, *spec.context)) {
        events.info(*std::move(line));
      }
    }
  }

  static void tell_exhausted(const std::string& limit, Attempt& attempt,
                             domain::EventSink& events) {
    const std::string what = "out of memory, a step may use " + limit;
    events.warning("A process of this build was killed: " + what);
    if (!attempt.result && attempt.result.error().error.kind == ErrorKind::build_failed) {
      std::string& line = attempt.result.error().error.customer;
      if (line.ends_with(k_killed_guess)) {
        line.resize(line.size() - k_killed_guess.size());
      }
      const std::string end = " (" + what + ")";
      line = truncate_characters(line, k_customer_limit - end.size()) + end;
    }
  }

  /// Says what of the limits this engine cannot keep.
  void check_limits(const EngineInfo& engine) const {
    for (const auto& [attribute, value] : settings_.step_attributes) {
      const bool is_kept = attribute != k_cgroup_parent &&
                           (settings_.attributes_are_second || !settings_.attributes_are_asked_for);
      if (!is_kept && !knows_attribute(engine, attribute)) {
        log_.warning("{} ignores '{}': {} has no effect", engine.name, attribute,
                     attribute == k_cgroup_parent   ? "BUILD_CGROUP_PARENT"
                     : attribute.starts_with("cpu") ? "BUILD_CPUS"
                                                    : "BUILD_MEMORY");
      }
    }
  }

  /// Nothing that a build may ask for is missing.
  bool is_recent() {
    const auto engine = *engine_.lock();
    return engine && missing_features(*engine).empty();
  }

  bool keeps_policies(const std::stop_token& stop) {
    const auto engine = known_engine(stop);
    return engine && has_source_policies(*engine);
  }

  /// The login of the platform's own registry opens the images of all services. A build gets it
  /// only where the engine itself keeps it away from those.
  ports::SharedLogin login_of_build(const ports::JobContext& job, const SolveSpec& spec,
                                    const std::string& host, Findings& findings) {
    const bool own = spec.repository && host == spec.repository->host();
    if (own && !pushes(spec) && !keeps_policies(job.stop)) {
      findings.registry_is_closed = true;
      return nullptr;
    }
    return login_for(job, host);
  }

  /// What the engine sees of a customer's Dockerfile: the text that was checked, and nothing that a
  /// link or another spelling could put in its place.
  Result<std::shared_ptr<const ports::SourceTree>> checked_dockerfile(const ports::JobContext& job,
                                                                      const SolveSpec& spec,
                                                                      const SecretMounts& mounts,
                                                                      Findings& findings,
                                                                      bool tells) {
    std::map<std::string, std::string> files;
    BUILDER_TRY_ASSIGN(const std::optional<std::string> text, read_dockerfile(spec));
    if (text) {
      if (mixes_results(job, spec, *text)) {
        findings.way = Way::mixes_results;
        return failure(ErrorKind::cancelled, "solved anew");
      }
      BUILDER_TRY_ASSIGN(const auto frontends,
                         check_frontends(settings_.frontends, spec.dockerfile, *text));
      for (const std::string& frontend : frontends) {
        job.log.info("frontend {}", printable_line(frontend));
        findings.tell("The Dockerfile is read by the frontend " + printable_line(frontend));
      }
      SourceRules rules = settings_.sources;
      if (spec.repository) {
        rules.registries.push_back(spec.repository->host());
      }
      if (is_judged(spec)) {
        BUILDER_TRY(judged(spec, *text));
      }
      BUILDER_TRY(check_sources(rules, spec.dockerfile, *text, arguments_of(spec),
                                keeps_policies(job.stop), resolver_, job));
      std::string sent =
          mounts.with_versions(keeps_policies(job.stop) ? *text : with_pins(*text, spec.pins));
      if (!has_own_secrets(spec) && mounts.leaves_some(sent)) {
        findings.way = Way::mixes_secrets;
        return failure(ErrorKind::cancelled, "solved anew");
      }
      if (tells) {
        tell_arguments(spec, *text, findings);
      }
      files.emplace(spec.dockerfile, std::move(sent));
    }
    const std::string ignore = spec.dockerfile + ".dockerignore";
    BUILDER_TRY_ASSIGN(std::optional<std::string> patterns, read_source(spec, ignore));
    if (patterns) {
      files.emplace(ignore, *std::move(patterns));
    }
    // Away from where anybody looks.
    return ports::make_overlay_tree(spec.of_dockerfile(), std::move(files), ".source");
  }

  [[nodiscard]] bool is_judged(const SolveSpec& spec) const {
    return spec.is_customers && settings_.gate != nullptr;
  }

  [[nodiscard]] Result<std::vector<PolicyFinding>> judged(const SolveSpec& spec,
                                                          std::string_view text) const {
    return check_dockerfile(settings_.gate->policy(), settings_.frontends, spec.dockerfile, text,
                            arguments_of(spec));
  }

  /// What the policy leaves of the images that a build may take. Waits for the Dockerfile: the
  /// engine is told with the request which versions have been looked at.
  Result<AdmittedImages> admit(const ports::JobContext& job, const SolveSpec& spec) {
    if (!is_judged(spec)) {
      return AdmittedImages{.pins = spec.pins, .signed_images = {}};
    }
    BUILDER_TRY_ASSIGN(const std::optional<std::string> text, read_dockerfile(spec));
    std::vector<PolicyFinding> found;
    if (text) {
      BUILDER_TRY_ASSIGN(found, judged(spec, *text));
    }
    return admit_images(*settings_.gate, job, spec.dockerfile, found, spec.pins,
                        keeps_policies(job.stop));
  }

  static GivenArguments arguments_of(const SolveSpec& spec) {
    constexpr std::string_view k_argument = "build-arg:";
    GivenArguments given;
    for (const auto& [name, value] : spec.frontend) {
      if (name.starts_with(k_argument)) {
        given.emplace(name.substr(k_argument.size()), value);
      }
    }
    return given;
  }

  /// Which ARGs have no value because it looks secret, and which have one in place of their
  /// default.
  static void tell_arguments(const SolveSpec& spec, std::string_view text, Findings& findings) {
    constexpr std::size_t k_told = 10;
    const domain::DeliveredVariables& variables = spec.variables;
    if (variables.withheld.empty() && variables.arguments.empty()) {
      return;
    }
    const std::set<std::string> withheld(variables.withheld.begin(), variables.withheld.end());
    const std::string file = printable_line(spec.dockerfile, 80);
    std::set<std::string> told;
    const Dockerfile parsed(text);
    for (const Instruction& instruction : parsed.instructions()) {
      if (instruction.keyword != "ARG" || told.size() == k_told) {
        continue;
      }
      for (const std::string& word : parts_of(instruction.text).words) {
        const std::string name = word.substr(0, word.find('='));
        const bool has_default = name.size() < word.size();
        const bool is_withheld = withheld.contains(name);
        if (told.size() == k_told || told.contains(name) ||
            (!is_withheld && !(has_default && variables.arguments.contains(name)))) {
          continue;
        }
        told.insert(name);
        if (is_withheld) {
          findings.tell(
              fmt::format("{}:{}: ARG {} {}: the variable looks like a secret, and an ARG can be "
                          "read in the image. {}list it in the variable {}",
                          file, instruction.lines.first, name,
                          has_default ? "keeps its default" : "gets no value",
                          variables.secrets.contains(name)
                              ? fmt::format("Use RUN --mount=type=secret,id={0} (it is in "
                                            "/run/secrets/{0}), or ",
                                            name)
                              : std::string("To give it all the same, "),
                          domain::knobs::variable_of("args")),
              domain::LogType::warning);
        } else {
          findings.tell(
              fmt::format("{}:{}: ARG {} has the value of the service's variable, not its "
                          "default",
                          file, instruction.lines.first, name));
        }
      }
    }
  }

  /// What the image is to bear beside the Dockerfile's own labels.
  Result<std::map<std::string, std::string>> labels_of(const ports::JobContext& job,
                                                       const SolveSpec& spec) {
    BUILDER_TRY_ASSIGN(auto labels, spec.labels());
    BUILDER_TRY_ASSIGN(const std::optional<std::string> text, read_dockerfile(spec));
    if (!text) {
      return std::map<std::string, std::string>();
    }
    const auto target = spec.frontend.find("target");
    const auto base = base_of_result(
        Dockerfile(*text), target == spec.frontend.end() ? std::string_view() : target->second,
        spec.pins, !keeps_policies(job.stop));
    if (base && !base->name.empty()) {
      labels.emplace("org.opencontainers.image.base.name", base->name);
    }
    if (base && !base->digest.empty()) {
      labels.emplace("org.opencontainers.image.base.digest", base->digest);
    }
    return labels_left(std::move(labels), *text);
  }

  static Result<std::optional<std::string>> read_dockerfile(const SolveSpec& spec) {
    BUILDER_TRY_ASSIGN(std::optional<std::string> text, read_source(spec, spec.dockerfile));
    if (!text && spec.dockerfile.ends_with(k_dockerfile)) {
      // Every frontend falls back to it.
      std::string other = spec.dockerfile;
      other[other.size() - k_dockerfile.size()] = 'd';
      return read_source(spec, other);
    }
    return text;
  }

  /// Nullopt: there is no such file.
  static Result<std::optional<std::string>> read_source(const SolveSpec& spec,
                                                        const std::string& path) {
    auto text = ports::read_file(*spec.of_dockerfile(), path, k_dockerfile_limit);
    if (text) {
      return *std::move(text);
    }
    Error error = std::move(text).error();
    if (error.kind == ErrorKind::not_found) {
      return std::nullopt;
    }
    if (error.kind == ErrorKind::invalid_input || error.kind == ErrorKind::denied) {
      error.kind = ErrorKind::build_failed;
      error.customer = truncate_characters(
          printable_line(path) + " cannot be read: " + printable_line(error.message),
          k_customer_limit);
    }
    return std::unexpected(std::move(error));
  }

  /// nullptr: anonymous. A login that cannot be had is the operator's matter; the registry's own
  /// refusal tells the customer.
  ports::SharedLogin login_for(const ports::JobContext& job, const std::string& host) {
    auto login = logins_.login(job, host);
    if (!login) {
      job.log.warning("login for {}: {}", host, login.error().message);
      return nullptr;
    }
    return *std::move(login);
  }

  /// Whatever it holds that the engine makes a part of a step's cache key is the same for all
  /// builds of the same content, of all services on all hosts (the ADR "Nothing of a build in a
  /// cache key").
  [[nodiscard]] moby::buildkit::v1::SolveRequest request_for(
      const SolveSpec& spec, const std::map<std::string, std::string>& exporter_attributes,
      const Session& session, const AdmittedImages& admitted) {
    moby::buildkit::v1::SolveRequest request;
    request.set_ref(random_id());
    request.set_session(session.id());
    if (spec.command) {
      *request.mutable_definition() = definition_of(*spec.command, settings_.step_attributes);
    } else {
      ask_frontend(spec, request);
    }
    for (const std::string& entitlement : spec.entitlements) {
      request.add_entitlements(entitlement);
    }
    if (spec.is_customers) {
      *request.mutable_source_policy() = source_policy(settings_.sources, spec.repository);
      if (settings_.gate != nullptr) {
        add_image_policy(*request.mutable_source_policy(), settings_.gate->policy(), admitted);
      }
      add_pins(*request.mutable_source_policy(), admitted.pins);
    }
    if (!spec.exporter.empty()) {
      // Twice: daemons before 0.13 read the first, later ones the second.
      request.set_exporter(spec.exporter);
      auto* exporter = request.add_exporters();
      exporter->set_type(spec.exporter);
      for (const auto& [name, value] : exporter_attributes) {
        (*request.mutable_exporter_attrs())[name] = value;
        (*exporter->mutable_attrs())[name] = value;
      }
    }
    return request;
  }

  void ask_frontend(const SolveSpec& spec, moby::buildkit::v1::SolveRequest& request) {
    request.set_frontend("dockerfile.v0");
    auto& frontend = *request.mutable_frontend_attrs();
    frontend["filename"] = spec.dockerfile;
    if (!tells_by_its_architecture()) {
      frontend["platform"] = std::string(domain::k_default_platform);
    }
    for (const auto& [name, value] : settings_.step_attributes) {
      frontend[name] = value;
    }
    for (const auto& [name, value] : settings_.proxy_variables) {
      frontend["build-arg:" + name] = value;
    }
    for (const auto& [name, value] : spec.frontend) {
      frontend[name] = value;
    }
    if (!spec.cache_namespace.empty()) {
      frontend[std::string(k_cache_namespace)] = spec.cache_namespace.reveal();
    }
  }

  /// An image keeps the architecture of its base where no platform is asked for. That is how an
  /// engine whose frontend does not name foreign bases shows one.
  bool tells_by_its_architecture() {
    const auto engine = *engine_.lock();
    return engine && !names_foreign_bases(*engine) &&
           engine->platform == domain::k_default_platform;
  }

  Attempt judge(const ports::JobContext& job, const SolveSpec& spec, domain::EventSink& events,
                const SolveOutcome& outcome, const Progress& progress, Session& session,
                const Findings& findings) {
    if (outcome.status.ok()) {
      std::map<std::string, std::string> files;
      if (spec.exporter == k_tar_exporter && spec.result == nullptr) {
        auto read = read_tar(session.take_result());
        if (!read) {
          return failed(std::move(read).error());
        }
        files = *std::move(read);
      }
      if (auto foreign = foreign_image(spec, progress)) {
        return failed(*std::move(foreign));
      }
      const auto& response = outcome.response.exporter_response();
      return {.result = Solved{.exporter_response = {response.begin(), response.end()},
                               .context_bytes_sent = session.bytes_sent(),
                               .push = progress.push_began()
                                           ? steady_clock::now() - *progress.push_began()
                                           : steady_clock::duration::zero(),
                               .files = std::move(files),
                               .bases = progress.bases(),
                               .tagged = progress.tagged()}};
    }
    if (auto stopped = interruption(job)) {
      return failed(*std::move(stopped));
    }
    if (findings.solves_anew()) {
      Attempt attempt = failed({.kind = ErrorKind::cancelled, .message = "solved anew"});
      attempt.way = findings.way;
      return attempt;
    }
    if (auto error = session.result_error()) {
      return failed(std::move(*error).with_context("taking the result"));
    }
    if (auto error = session.transfer_error()) {
      if (error->kind == ErrorKind::build_failed ||
          (error->kind == ErrorKind::invalid_input && !error->customer.empty())) {
        return failed(*std::move(error));  // Of what is in the repository: it says so itself.
      }
      std::string customer = "The source could not be sent to the build engine: " + error->message;
      return failed(
          std::move(*error).with_context("sending the source").for_customer(std::move(customer)));
    }
    FailedSolve solve{.status = outcome.status,
                      .steps = progress.failed(),
                      .dockerfile = spec.dockerfile,
                      .dockerfile_text = std::nullopt,
                      .warnings = progress.warnings(),
                      .context = spec.context.get(),
                      .registry = spec.repository ? spec.repository->host() : std::string(),
                      .policy = is_judged(spec) ? &settings_.gate->policy() : nullptr,
                      .registry_is_closed = findings.registry_is_closed};
    if (const auto platform = spec.frontend.find("platform"); platform != spec.frontend.end()) {
      solve.platform = platform->second;
    }
    solve.platforms_of = [this, &job, &spec](const std::string& image) {
      return platforms_of(job, spec, image);
    };
    if (!spec.command) {
      if (auto text =
              ports::read_file(*spec.of_dockerfile(), spec.dockerfile, k_dockerfile_limit)) {
        solve.dockerfile_text = *std::move(text);
      }
    }
    Explanation explanation = explain(solve);
    for (std::string& line : explanation.excerpt) {
      events.emit(domain::Message{.type = domain::LogType::error, .text = std::move(line)});
    }
    return {.result = std::unexpected(SolveFailure{.error = std::move(explanation.error),
                                                   .exit_code = explanation.exit_code,
                                                   .push_error = explanation.push_error}),
            .way = explanation.engine_lost ? Way::engine_lost : Way::ended};
  }

  /// The error of an image that was built for other machines than the platform's; nobody else says
  /// which ones are meant.
  static std::optional<Error> foreign_image(const SolveSpec& spec, const Progress& progress) {
    if (!spec.is_customers || spec.frontend.contains("platform")) {
      return std::nullopt;
    }
    const auto text = ports::read_file(*spec.of_dockerfile(), spec.dockerfile, k_dockerfile_limit);
    return text ? wrong_platform(spec.dockerfile, *text, progress.warnings(), "") : std::nullopt;
  }

  /// A second way to a daemon that needs one; null for others, and when it cannot be had.
  std::shared_ptr<grpc::Channel> reserve_for(const ports::JobContext& job) {
    const auto engine = *engine_.lock();
    if (engine && !status_goes_astray(*engine)) {
      return nullptr;
    }
    return connector_->reserve(job).value_or(nullptr);
  }

  Result<> wait_for_engine(const ports::JobContext& job) {
    const ports::JobContext bounded = job.within(settings_.return_limit);
    for (;;) {
      const auto channel = connector_->control(bounded);
      if (channel) {
        return {};
      }
      if (auto stopped = interruption(job)) {
        return std::unexpected(*std::move(stopped));
      }
      if (steady_clock::now() + k_return_interval >= bounded.deadline) {
        return std::unexpected(
            Error{.kind = ErrorKind::unavailable,
                  .message = "the engine did not return: " + channel.error().message,
                  .customer = "The build engine could not be reached (no fault of your project); "
                              "please deploy again in a few minutes"});
      }
      sleep_for(k_return_interval, job.stop);
    }
  }

  const SolverSettings settings_;
  ports::RegistryLogins& logins_;
  const Log log_;
  std::unique_ptr<Connector> connector_;
  Sync<std::optional<EngineInfo>> engine_;
  network::Resolver resolver_;
  Afterwards afterwards_;
};

}  // namespace

std::unique_ptr<Solver> make_solver(SolverSettings settings, std::unique_ptr<Connector> connector,
                                    ports::RegistryLogins& logins, Log log) {
  forward_grpc_log(log);
  // The daemon polls grpc.health.v1 on every session and drops those that do not answer.
  grpc::EnableDefaultHealthCheckService(true);
  return std::make_unique<BuildkitSolver>(std::move(settings), std::move(connector), logins,
                                          std::move(log));
}

}  // namespace builder::adapters::buildkit
