#include "pipeline/job_runner.hpp"

#include "domain/request_secrets.hpp"
#include "domain/source_spec.hpp"
#include "pipeline/build_plan.hpp"
#include "pipeline/early_publish.hpp"
#include "pipeline/event_log.hpp"
#include "pipeline/final_status.hpp"

#include <exception>
#include <functional>
#include <future>
#include <optional>
#include <utility>

namespace builder::pipeline {

namespace {

using domain::LogType;
using domain::Message;
using ports::DeploymentStatus;
using ports::JobCancellation;
using ports::JobContext;
using ports::StatusAnswer;
using ports::StatusUpdate;
using ports::StopReason;
using Clock = std::chrono::steady_clock;

/// A cancel must not cut this: the tag either moves or does not.
constexpr std::chrono::seconds k_promote_limit{120};
constexpr std::chrono::seconds k_clean_up_limit{30};
constexpr std::chrono::seconds k_tell_limit{10};

constexpr std::string_view k_our_fault =
    "The build service had a problem that is not caused by your project; please deploy again or "
    "ask the operator";

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

/// One deployment on its way through the steps.
class Run {
 public:
  Run(const JobRunner::Ports& ports, const JobSettings& settings, SecretStore& secrets,
      Metrics& metrics, Log log, std::stop_token abort, const domain::DeploymentRequest& request,
      const ports::TakenJob& taken, JobCancellation& cancellation)
      : ports_(ports),
        settings_(settings),
        metrics_(metrics),
        log_(std::move(log)),
        abort_(std::move(abort)),
        secrets_(secrets),
        request_(request),
        taken_(taken),
        cancellation_(cancellation),
        registration_(secrets.add(domain::secrets_of(request))),
        job_{request.deployment_id, cancellation.token(), Clock::now() + settings.build_timeout},
        channel_(ports.reporter, request.deployment_id, taken.receipt.lease, settings.channel,
                 metrics, log_),
        events_(channel_, secrets, cancellation.token()) {}

  void execute(const std::function<void(Outcome)>& settle) {
    events_.info(taken_.attempt == 1
                     ? std::string("Build started")
                     : "Build started again (attempt " + std::to_string(taken_.attempt) +
                           "): the worker that had it was lost");
    auto announced = std::async(std::launch::async, [this] { return announce(); });
    const Result<ports::PublishedImage> published = build(announced);
    events_.finish();
    const Outcome outcome = conclude(published);
    channel_.close();
    settle(outcome);
    clean_up();
  }

 private:
  template <class F>
  auto timed(std::string_view phase, F&& step) {
    const auto started = Clock::now();
    auto result = std::forward<F>(step)();
    took(phase, Clock::now() - started);
    return result;
  }

  void took(std::string_view phase, Clock::duration time) {
    metrics_.phase_took(phase, time);
    log_.debug("{} took {} ms", phase,
               std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  }

  /// Posts BUILDING. Its answer tells whether the deployment had already ended.
  Result<> announce() {
    const StatusUpdate update{
        .status = DeploymentStatus::building, .error = {}, .log = {}, .image_uri = {}};
    BUILDER_TRY_ASSIGN(
        const StatusAnswer answer,
        channel_.status(update, cancellation_.token(), Clock::now() + settings_.building_patience));
    if (answer.deployment_completed || answer.service_deleted) {
      log_.info("the platform has ended this deployment already");
      cancellation_.request_stop(StopReason::cancelled_by_user);
    }
    return {};
  }

  Result<ports::PublishedImage> build(std::future<Result<>>& announced) {
    const auto spec = domain::resolve_source(request_, settings_.github_url);
    if (!spec) {
      BUILDER_TRY(wait_for_answer(announced));
      return std::unexpected(spec.error());
    }

    // Nothing here depends on the source: it is made ready while git works.
    const ScopedStop beside_stop(job_.stop);
    JobContext beside = job_;
    beside.stop = beside_stop.token();
    const auto repository =
        std::async(std::launch::async, [&, beside] { return ensure_repository(beside); }).share();
    std::optional<EarlyPublish> early;
    if (auto dockerfile = dockerfile_path(request_)) {
      early.emplace(EarlyPublish::Ports{ports_.image, events_}, job_, request_.service_id,
                    *std::move(dockerfile), [repository] { return repository.get(); });
    }

    auto fetched = timed("fetch", [&] { return ports_.source.fetch(job_, *spec, events_); });
    BUILDER_TRY(wait_for_answer(announced));
    if (!fetched) {
      return std::unexpected(std::move(fetched).error().with_context("fetching source"));
    }
    BUILDER_TRY_ASSIGN(BuildPlan plan, make_build_plan(request_, settings_.buildpacks,
                                                       std::move(fetched->tree), events_));
    BUILDER_TRY_ASSIGN(repository_, repository.get());
    BUILDER_TRY(check_lease());
    if (auto* dockerfile = std::get_if<DockerfilePlan>(&plan)) {
      events_.info("Building image from " + dockerfile->dockerfile);
      BUILDER_TRY_ASSIGN(const ports::PublishResult published,
                         early->finish(std::move(dockerfile->tree)));
      return promote(published);
    }
    early.reset();
    BUILDER_TRY_ASSIGN(const ports::PublishResult published,
                       publish(std::get<BuildpacksPlan>(std::move(plan)), *spec, fetched->commit));
    return promote(published);
  }

  Result<ports::Repository> ensure_repository(const JobContext& job) {
    auto repository = ports_.registry.ensure_repository(job, request_.service_id);
    if (!repository) {
      return std::unexpected(
          std::move(repository).error().with_context("preparing the repository"));
    }
    return repository;
  }

  Result<ports::PublishResult> publish(BuildpacksPlan plan, const domain::SourceSpec& source,
                                       const domain::CommitSha& commit) {
    BUILDER_TRY_ASSIGN(ports::BuildpacksResult result,
                       ports_.buildpacks.publish(job_,
                                                 {.service_id = request_.service_id,
                                                  .app = std::move(plan.app),
                                                  .environment = std::move(plan.environment),
                                                  .builder = std::move(plan.builder),
                                                  .clear_cache = plan.clear_cache,
                                                  .source_url = source.url,
                                                  .commit = commit.str(),
                                                  .repository = *repository_,
                                                  .tag = request_.deployment_id.str()},
                                                 events_));
    std::string used;
    for (const auto& buildpack : result.buildpacks) {
      used += (used.empty() ? "" : ", ") + buildpack.str();
    }
    std::string processes;
    for (const std::string& type : result.processes) {
      processes += (processes.empty() ? "" : ", ") + type;
    }
    events_.info("Built with " + used +
                 (processes.empty() ? std::string("; the image has no process type")
                                    : "; process types: " + processes));
    if (processes.empty()) {
      events_.warning(
          "No buildpack says how to start the app: add a Procfile (web: COMMAND), or a command in "
          "the service's settings");
    }
    return std::move(result.published);
  }

  /// `latest` moves, unless the deployment was cancelled in the last moment.
  Result<ports::PublishedImage> promote(const ports::PublishResult& published) {
    took("build", published.figures.build);
    took("push", published.figures.push);
    metrics_.context_bytes_sent(published.figures.context_bytes_sent);
    metrics_.bytes_pushed(published.figures.bytes_pushed);

    // From here on a restarted pod runs the new image: the last moment to obey a cancel.
    BUILDER_TRY(check_lease());
    if (job_.stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped before latest was moved");
    }
    const JobContext committed{.deployment_id = job_.deployment_id,
                               .stop = {},
                               .deadline = Clock::now() + k_promote_limit};
    const auto promoted =
        timed("promote", [&] { return ports_.registry.promote(committed, published.image); });
    if (!promoted) {
      return std::unexpected(Error(promoted.error()).with_context("moving latest"));
    }
    return published.image;
  }

  /// What others see is changed only while the job is certainly ours.
  Result<> check_lease() const {
    if (!taken_.receipt.lease->wait(job_.stop)) {
      return failure(job_.stop.stop_requested() ? ErrorKind::cancelled : ErrorKind::conflict,
                     "the lease is lost");
    }
    return {};
  }

  /// The build goes no further than its source before the platform has said that it wants it.
  Result<> wait_for_answer(std::future<Result<>>& announced) {
    Result<> answer = announced.get();
    if (!answer && answer.error().kind != ErrorKind::cancelled) {
      announce_error_ = answer.error();
    }
    if (job_.stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped");
    }
    return answer;
  }

  Outcome conclude(const Result<ports::PublishedImage>& published) {
    if (announce_error_) {
      return not_announced(*announce_error_);
    }
    const StopReason reason = cancellation_.reason();
    if (published && reason != StopReason::cancelled_by_user && reason != StopReason::superseded) {
      return report_builded(*published);
    }
    return report_unfinished(published ? Error{.kind = ErrorKind::cancelled, .message = "stopped"}
                                       : published.error());
  }

  /// After the job is settled: nobody waits for it.
  void clean_up() {
    if (repository_) {
      const JobContext job{.deployment_id = job_.deployment_id,
                           .stop = abort_,
                           .deadline = Clock::now() + k_clean_up_limit};
      ports_.image.clean_up(job, *repository_, request_.deployment_id.str());
    }
  }

  Outcome not_announced(const Error& error) {
    switch (error.kind) {
      case ErrorKind::not_found:
        log_.warning("the platform does not know this deployment: {}", error.message);
        // Nobody to tell: it ends all the same, so that it is not built again.
        return end_without_a_word();
      case ErrorKind::denied:
        log_.error("the platform refuses our API key: {}", error.message);
        return Outcome::refused;
      case ErrorKind::conflict:
        return Outcome::lost;
      default:
        log_.error("BUILDING could not be reported, giving the job back: {}", error.message);
        return Outcome::given_back;
    }
  }

  Outcome end_without_a_word() {
    const auto decided = ports_.queue.finish(taken_.receipt, cancelled_update());
    const auto settled =
        decided ? ports_.queue.settle(taken_.receipt, ports::Delivery::done) : Result<>();
    if (!decided || !settled) {
      log_.error("a job could not be ended: {}",
                 decided ? settled.error().message : decided.error().message);
    }
    return Outcome::gone;
  }

  Outcome report_builded(const ports::PublishedImage& image) {
    const bool by_digest =
        settings_.image_reference == ImageReference::digest ||
        (settings_.image_reference == ImageReference::automatic && settings_.keep_images > 1);
    const std::string& repository = image.repository.uri;
    return report({.status = DeploymentStatus::builded,
                   .error = {},
                   .log = Message{LogType::info,
                                  "Build completed successfully. Image is ready for deployment."},
                   .image_uri = by_digest ? repository + "@" + image.digest : repository});
  }

  Outcome report_unfinished(const Error& error) {
    if (job_.stop.stop_requested()) {
      switch (cancellation_.reason()) {
        case StopReason::shutdown:
          return Outcome::given_back;
        case StopReason::host_full:
          tell(
              "The build machine is short of disk space: this build was stopped and starts again "
              "when there is enough");
          return Outcome::given_back;
        case StopReason::host_full_again:
          return report_failed(
              "The build machine ran out of disk space during this build, and again when it was "
              "repeated; make the build write less, or ask the operator for more disk");
        case StopReason::lost_lease:
          return Outcome::lost;
        default:
          return report(cancelled_update());
      }
    }
    if (error.kind == ErrorKind::conflict && !taken_.receipt.lease->holds()) {
      return Outcome::lost;
    }
    if (error.kind == ErrorKind::timed_out && Clock::now() >= job_.deadline) {
      log_.warning("build timeout: {}", error.message);
      const auto seconds = settings_.build_timeout.count();
      const bool whole = seconds > 0 && seconds % 60 == 0;
      return report_failed("The build took longer than " +
                           std::to_string(whole ? seconds / 60 : seconds) +
                           (whole ? " minutes" : " seconds") +
                           " and was stopped; make it shorter or ask for a higher limit");
    }
    log_.warning("failed ({}): {}", to_string(error.kind), error.message);
    return report_failed(error.customer.empty() ? std::string(k_our_fault) : error.customer);
  }

  Outcome report_failed(const std::string& text) {
    return report(failed_update(secrets_.redactor()->redact(text)));
  }

  /// Brings a last line to the customer of a build that goes back to the queue.
  void tell(std::string line) {
    // Only a status is awaited; BUILDING changes nothing.
    const StatusUpdate update{.status = DeploymentStatus::building,
                              .error = {},
                              .log = Message{LogType::error, std::move(line)},
                              .image_uri = {}};
    if (const auto told = channel_.status(update, abort_, Clock::now() + k_tell_limit); !told) {
      log_.warning("the customer was not told: {}", told.error().message);
    }
  }

  StatusUpdate cancelled_update() const {
    return update_of({cancellation_.reason() == StopReason::superseded
                          ? ports::Verdict::superseded
                          : ports::Verdict::cancelled_by_user,
                      {}});
  }

  Outcome report(const StatusUpdate& update) { return report_end(final_context(), update); }

  FinalContext final_context() {
    return {ports_.queue, channel_, taken_.receipt, cancellation_, abort_, settings_.final_patience,
            log_};
  }

  const JobRunner::Ports& ports_;
  const JobSettings& settings_;
  Metrics& metrics_;
  Log log_;
  const std::stop_token abort_;
  SecretStore& secrets_;
  const domain::DeploymentRequest& request_;
  const ports::TakenJob& taken_;
  JobCancellation& cancellation_;
  SecretStore::Registration registration_;
  JobContext job_;
  DeploymentChannel channel_;
  EventLog events_;
  std::optional<ports::Repository> repository_;
  std::optional<Error> announce_error_;
};

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::builded:
      return "builded";
    case Outcome::failed:
      return "failed";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::superseded:
      return "superseded";
    case Outcome::given_back:
      return "given_back";
    case Outcome::gone:
      return "gone";
    case Outcome::refused:
      return "refused";
    case Outcome::lost:
      return "lost";
  }
  return "failed";
}

void JobRunner::run(const domain::DeploymentRequest& request, const ports::TakenJob& job,
                    JobCancellation& cancellation, const std::function<void(Outcome)>& settle) {
  const Log log = log_.with("deployment", request.deployment_id.str())
                      .with("service", request.service_id.str());
  try {
    Run(ports_, settings_, secrets_, metrics_, log, abort_, request, job, cancellation)
        .execute(settle);
  } catch (const std::exception& error) {
    // A defect of ours must not take the other deployments with it, nor leave this one hanging.
    settle(
        reject(job.receipt, {.kind = ErrorKind::internal, .message = error.what()}, cancellation));
  }
}

Outcome JobRunner::reject(const ports::Receipt& receipt, const Error& error,
                          const JobCancellation& cancellation) {
  const Log log = log_.with("deployment", receipt.deployment.str());
  log.warning("rejected: {}", error.message);
  DeploymentChannel channel(ports_.reporter, receipt.deployment, receipt.lease, settings_.channel,
                            metrics_, log);
  return report_end(
      {ports_.queue, channel, receipt, cancellation, abort_, settings_.final_patience, log},
      failed_update(error.customer.empty() ? std::string(k_our_fault) : error.customer));
}

Outcome JobRunner::deliver(const ports::Undelivered& undelivered,
                           const JobCancellation& cancellation) {
  const ports::Receipt& receipt = undelivered.receipt;
  const Log log = log_.with("deployment", receipt.deployment.str());
  DeploymentChannel channel(ports_.reporter, receipt.deployment, receipt.lease, settings_.channel,
                            metrics_, log);
  return deliver_end(
      {ports_.queue, channel, receipt, cancellation, abort_, settings_.adopted_patience, log},
      undelivered.ending);
}

}  // namespace builder::pipeline
