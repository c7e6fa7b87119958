#include "build/build_steps.hpp"

#include "base/text.hpp"
#include "build/early_publish.hpp"
#include "build/file_times.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/retry_until_answered.hpp"

#include <future>
#include <utility>
#include <variant>

namespace builder::build {

namespace {

using ports::JobContext;
using ports::PublishedImage;
using ports::PublishResult;
using Clock = std::chrono::steady_clock;

/// The image is there: the build's own deadline no longer counts.
constexpr std::chrono::seconds k_promote_limit{120};
constexpr std::chrono::seconds k_repository_limit{120};

/// Requests a stop of its own when the outer one does, and when it is destroyed: for a task that
/// runs beside the pipeline and must not outlive it.
class ScopedStop {
 public:
  explicit ScopedStop(const std::stop_token& outer)
      : forward_(outer, [this] { source_.request_stop(); }) {}

  ScopedStop(const ScopedStop&) = delete;
  ScopedStop& operator=(const ScopedStop&) = delete;

  ~ScopedStop() { source_.request_stop(); }

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> forward_;
};

/// The time in which something can be silent.
class SilenceScope {
 public:
  explicit SilenceScope(SilenceWatch& watch) : watch_(watch) { watch_.begin(); }

  SilenceScope(const SilenceScope&) = delete;
  SilenceScope& operator=(const SilenceScope&) = delete;

  ~SilenceScope() { watch_.end(); }

 private:
  SilenceWatch& watch_;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

/// The same job, whose log names the phase.
JobContext in_phase(JobContext job, std::string_view phase) {
  job.log = job.log.with("phase", phase);
  return job;
}

}  // namespace

BuildSteps::BuildSteps(StepPorts ports, const StepSettings& settings, ports::Metrics& metrics,
                       Log log, const domain::DeploymentRequest& request,
                       const domain::CacheNamespaces& caches, const ports::TakenJob& taken,
                       const JobContext& job, SilenceWatch& events, StepObserver& observer)
    : ports_(ports),
      settings_(settings),
      metrics_(metrics),
      log_(std::move(log)),
      request_(request),
      caches_(caches),
      taken_(taken),
      job_(job),
      events_(events),
      observer_(observer),
      checkpoint_(taken.checkpoint) {
}

template <class F>
auto BuildSteps::timed(std::string_view phase, F&& step) {
  const auto started = Clock::now();
  auto result = std::forward<F>(step)();
  took(phase, Clock::now() - started);
  return result;
}

void BuildSteps::took(std::string_view phase, Clock::duration time) {
  metrics_.phase_took(phase, time);
  log_.with("phase", phase)
      .debug("{} took {} ms", phase,
             std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

Result<PublishedImage> BuildSteps::run() {
  if (!checkpoint_.digest.empty() || !checkpoint_.image_id.empty()) {
    BUILDER_TRY(observer_.accepted());
    BUILDER_TRY_ASSIGN(auto image, resume());
    if (image) {
      return *std::move(image);
    }
    // What was recorded is not there any more. The commit stays.
    checkpoint_ = {.commit = checkpoint_.commit};
  }
  return build();
}

/// What earlier attempts left, as far as it is still there.
Result<std::optional<PublishedImage>> BuildSteps::resume() {
  BUILDER_TRY_ASSIGN(repository_, ensure_repository(job_));
  const std::string tag = request_.deployment_id.str();
  if (!checkpoint_.digest.empty() && checkpoint_.repository == repository_->uri) {
    PublishedImage image{.repository = *repository_, .tag = tag, .digest = checkpoint_.digest};
    if (checkpoint_.promoted) {
      events_.info("An earlier attempt has built and pushed the image: nothing is left to do");
      return image;
    }
    events_.info("An earlier attempt has built and pushed the image");
    auto promoted = promote({.image = image, .figures = {}});
    if (promoted || promoted.error().kind != ErrorKind::not_found) {
      return promoted;
    }
    events_.info("The image is not in the registry any more: building it again");
  }
  if (!checkpoint_.image_id.empty()) {
    observer_.phase_begins("push");
    auto published = ports_.image.publish_built(in_phase(job_, "push"), *repository_, tag,
                                                checkpoint_.image_id, events_);
    if (!published || *published) {
      BUILDER_TRY_ASSIGN(const PublishResult there,
                         or_pushed_before(published ? Result<PublishResult>(**std::move(published))
                                                    : std::unexpected(published.error())));
      return promote(there);
    }
  }
  return std::nullopt;
}

Result<PublishedImage> BuildSteps::build() {
  const auto spec = domain::resolve_source(request_, settings_.github_url);
  if (!spec) {
    BUILDER_TRY(observer_.accepted());
    return std::unexpected(spec.error());
  }

  // Nothing here depends on the source: it is made ready while git works, and nothing of it is
  // begun that the platform does not want. Stopped before it is waited for.
  std::shared_future<Result<ports::Repository>> repository;
  std::future<Result<std::string>> times;
  std::optional<EarlyPublish> early;
  const ScopedStop beside_stop(job_.stop);
  JobContext beside = job_;
  beside.stop = beside_stop.token();
  repository = std::async(std::launch::async, [this, beside]() -> Result<ports::Repository> {
                 BUILDER_TRY(observer_.accepted());
                 return ensure_repository(beside);
               }).share();
  times = std::async(std::launch::async, [this, stop = beside.stop] {
    return ports::retry_until_answered(log_, stop, "the times of the files are not known", [&] {
      return ports_.queue.recall(taken_.receipt, {.service = request_.service_id});
    });
  });
  const domain::DeliveredVariables variables =
      domain::deliver(request_.environment, settings_.delivery, caches_.secrets);
  const auto begin_build = [&](std::string dockerfile) {
    ports::ImageSpec image{.service_id = request_.service_id,
                           .context = {},
                           .dockerfile = std::move(dockerfile),
                           .repository = {},
                           .tag = request_.deployment_id.str(),
                           .cache_namespace = caches_.dockerfile,
                           .on_built = [this](const std::string& image_id) {
                             checkpoint_.image_id = image_id;
                             record();
                           }};
    image.variables = variables;
    early.emplace(EarlyPublish::Ports{ports_.image, events_}, in_phase(job_, "build"),
                  std::move(image), [repository] { return repository.get(); });
  };
  if (auto dockerfile = dockerfile_path(request_)) {
    begin_build(*std::move(dockerfile));
  }

  observer_.phase_begins("fetch");
  auto fetched = timed("fetch", [&] { return fetch(*spec); });
  BUILDER_TRY(observer_.accepted());
  if (!fetched) {
    return std::unexpected(std::move(fetched).error().with_context("fetching source"));
  }
  BUILDER_TRY_ASSIGN(BuildPlan plan,
                     make_build_plan(request_, settings_.buildpacks, std::move(fetched->tree),
                                     events_, settings_.delivery));
  auto* const dockerfile = std::get_if<DockerfilePlan>(&plan);
  // Before the engine's first look: what it sees once is what it compares with the next time.
  auto& tree = dockerfile != nullptr ? dockerfile->tree : std::get<BuildpacksPlan>(plan).app;
  BUILDER_TRY_ASSIGN(const std::string before, times.get());
  BUILDER_TRY_ASSIGN(tree, with_times(std::move(tree), dockerfile != nullptr ? "" : "buildpacks",
                                      fetched->committed_at, before));
  BUILDER_TRY_ASSIGN(repository_, repository.get());
  observer_.source_was_read();
  BUILDER_TRY(check_lease());
  observer_.phase_begins("build");
  const SilenceScope watched(events_);
  if (dockerfile != nullptr) {
    events_.info("Building image from " + dockerfile->dockerfile);
    if (early->dockerfile() != dockerfile->dockerfile) {
      begin_build(dockerfile->dockerfile);
    }
    BUILDER_TRY_ASSIGN(
        const PublishResult published,
        or_pushed_before(early->finish(std::move(dockerfile->tree), fetched->committed_at)));
    return promote(published);
  }
  early.reset();
  BUILDER_TRY_ASSIGN(
      const PublishResult published,
      or_pushed_before(publish(std::get<BuildpacksPlan>(std::move(plan)), *spec, *fetched)));
  return promote(published);
}

Result<ports::FetchedSource> BuildSteps::fetch(domain::SourceSpec spec) {
  const bool follows_branch = spec.commit.empty();
  const JobContext limited = in_phase(job_.within(settings_.fetch_timeout), "fetch");
  const auto fetch_once = [&] { return ports_.source.fetch(limited, spec, events_); };
  if (follows_branch) {
    spec.commit = checkpoint_.commit;
  }
  auto fetched = fetch_once();
  if (!fetched && fetched.error().kind == ErrorKind::not_found && follows_branch &&
      !spec.commit.empty()) {
    events_.warning("The commit that was built before is gone from the repository");
    spec.commit.clear();
    fetched = fetch_once();
  }
  if (!fetched && fetched.error().kind != ErrorKind::cancelled) {
    if (auto usable = settings_.check_work_dir(); !usable) {
      return std::unexpected(std::move(usable).error().for_operator("WORK_DIR"));
    }
  }
  if (!fetched && fetched.error().kind == ErrorKind::timed_out &&
      limited.deadline < job_.deadline && Clock::now() >= limited.deadline) {
    return std::unexpected(
        Error{.kind = ErrorKind::build_failed,
              .message = fetched.error().message,
              .customer = "Fetching the repository took longer than " +
                          in_words(settings_.fetch_timeout) +
                          " and was stopped; keep large files out of its history, or ask for a "
                          "higher limit"});
  }
  if (fetched && follows_branch && checkpoint_.commit != fetched->commit.str()) {
    checkpoint_.commit = fetched->commit.str();
    record();
  }
  return fetched;
}

/// The times are remembered before they are used: the next attempt, and the next deployment, on
/// whatever worker, give those files that have not changed the same ones.
Result<std::shared_ptr<const ports::SourceTree>> BuildSteps::with_times(
    std::shared_ptr<const ports::SourceTree> tree, std::string_view way,
    std::chrono::sys_seconds commit_time, const std::string& before) {
  const auto begin = Clock::now();
  const domain::ServiceId& service = request_.service_id;
  BUILDER_TRY_ASSIGN(TimedTree timed,
                     give_times(std::move(tree), way, commit_time, settings_.times_key, before));
  if (timed.unreadable) {
    log_.warning("what is remembered of the service's files' times is damaged; all get new ones");
  }
  if (timed.record != before) {
    BUILDER_TRY(ports::retry_until_answered(
        log_, job_.stop, "the times of the files are not remembered",
        [&] { return ports_.queue.remember(taken_.receipt, {.service = service}, timed.record); }));
  }
  log_.debug("times of {} files, {} of them new: {} us", timed.files, timed.changed,
             std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
  return std::move(timed.tree);
}

Result<ports::Repository> BuildSteps::ensure_repository(const JobContext& job) {
  auto repository =
      ports_.registry.ensure_repository(job.within(k_repository_limit), request_.service_id);
  if (!repository) {
    return std::unexpected(std::move(repository).error().with_context("preparing the repository"));
  }
  return repository;
}

Result<PublishResult> BuildSteps::publish(BuildpacksPlan plan, const domain::SourceSpec& source,
                                          const ports::FetchedSource& fetched) {
  BUILDER_TRY_ASSIGN(ports::BuildpacksResult result,
                     ports_.buildpacks.publish(in_phase(job_, "build"),
                                               {.service_id = request_.service_id,
                                                .app = std::move(plan.app),
                                                .environment = std::move(plan.environment),
                                                .builder = std::move(plan.builder),
                                                .clear_cache = plan.clear_cache,
                                                .source_url = source.url,
                                                .commit = fetched.commit.str(),
                                                .committed_at = fetched.committed_at,
                                                .repository = *repository_,
                                                .tag = request_.deployment_id.str(),
                                                .cache_namespace = caches_.buildpacks},
                                               events_));
  std::vector<std::string> used;
  for (const auto& buildpack : result.buildpacks) {
    used.push_back(buildpack.str());
  }
  events_.info("Built with " + joined(used) +
               (result.processes.empty() ? std::string("; the image has no process type")
                                         : "; process types: " + joined(result.processes)));
  if (result.processes.empty()) {
    events_.warning(
        "No buildpack says how to start the app: add a Procfile (web: COMMAND), or a command in "
        "the service's settings");
  }
  return std::move(result.published);
}

/// Where tags never move, an attempt whose push was not recorded stands in the way of the next one.
/// The tag is this deployment's alone: what is there is its image.
Result<PublishResult> BuildSteps::or_pushed_before(Result<PublishResult> published) {
  if (published || published.error().kind != ErrorKind::conflict) {
    return published;
  }
  BUILDER_TRY_ASSIGN(auto there,
                     ports_.registry.find(job_, *repository_, request_.deployment_id.str()));
  if (!there) {
    return published;
  }
  log_.info("{}; what is there was pushed before: {}", published.error().message, there->digest);
  events_.info("An earlier attempt has pushed the image");
  return PublishResult{.image = *std::move(there), .figures = {}};
}

/// `latest` moves, unless the deployment was cancelled in the last moment.
Result<PublishedImage> BuildSteps::promote(const PublishResult& published) {
  if (checkpoint_.digest != published.image.digest) {
    figures_ = published.figures;
    took("build", published.figures.build);
    took("push", published.figures.push);
    metrics_.context_bytes_sent(published.figures.context_bytes_sent);
    metrics_.bytes_pushed(published.figures.bytes_pushed);
    checkpoint_.repository = published.image.repository.uri;
    checkpoint_.digest = published.image.digest;
    record();
  }

  // From here on a restarted pod runs the new image. A cancel is obeyed until it has moved: no try
  // begins behind it, and none under way is waited for.
  BUILDER_TRY(check_lease());
  if (job_.stop.stop_requested()) {
    return failure(ErrorKind::cancelled, "stopped before latest was moved");
  }
  observer_.phase_begins("promote");
  JobContext moving = in_phase(job_, "promote");
  moving.deadline = Clock::now() + k_promote_limit;
  const auto promoted =
      timed("promote", [&] { return ports_.registry.promote(moving, published.image); });
  if (!promoted) {
    return std::unexpected(Error(promoted.error()).with_context("moving latest"));
  }
  checkpoint_.promoted = true;
  record();
  return published.image;
}

/// What others see is changed only while the job is certainly ours.
Result<> BuildSteps::check_lease() const {
  if (!taken_.receipt.lease->wait(job_.stop)) {
    return failure(job_.stop.stop_requested() ? ErrorKind::cancelled : ErrorKind::conflict,
                   "the lease is lost");
  }
  return {};
}

/// Best effort: without it the next attempt does more than it had to.
void BuildSteps::record() {
  if (const auto recorded = ports_.queue.record(taken_.receipt, checkpoint_); !recorded) {
    log_.debug("progress not recorded: {}", recorded.error().message);
  }
}

}  // namespace builder::build
