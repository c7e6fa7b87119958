#include "pipeline/job_runner.hpp"

#include "base/text.hpp"
#include "domain/request_secrets.hpp"
#include "pipeline/build_steps.hpp"
#include "pipeline/event_log.hpp"
#include "pipeline/final_status.hpp"
#include "pipeline/insist.hpp"
#include "pipeline/silence_watch.hpp"

#include <algorithm>
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

constexpr std::chrono::seconds k_clean_up_limit{30};
/// A build that uses the processor for a smaller part of the time than this waits for something.
constexpr int k_trace = 100;
constexpr std::chrono::seconds k_tell_limit{10};

constexpr std::string_view k_our_fault =
    "The build service had a problem that is not caused by your project; please deploy again or "
    "ask the operator";
constexpr std::string_view k_our_fault_passing =
    "The build service had a problem that is not caused by your project";
constexpr std::string_view k_operators_fault =
    "The build service has a problem that its operator has to mend (no fault of your project); "
    "this "
    "build waits, and starts again by itself";

/// Ours or the network's: the same may succeed in a while. What the customer or the operator has to
/// change is not tried again.
bool may_pass(const Error& error) {
  return error.setting.empty() && (error.is_transient() || error.kind == ErrorKind::internal);
}

/// What happened, without what to do about it.
std::string without_advice(const std::string& line) {
  return line.substr(0, std::min(line.find("; "), line.find(": please ")));
}

/// A build can read the namespace of its cache mounts; it is nobody else's business.
std::vector<NamedSecret> all_secrets(const domain::DeploymentRequest& request,
                                     const domain::CacheNamespaces& caches) {
  std::vector<NamedSecret> secrets = domain::secrets_of(request);
  secrets.push_back({"cache namespace", caches.dockerfile});
  secrets.push_back({"cache namespace of buildpacks", caches.buildpacks});
  return secrets;
}

/// One deployment on its way through the steps.
class Run {
 public:
  Run(const JobRunner::Ports& ports, const JobSettings& settings, SecretStore& secrets,
      Metrics& metrics, OperatorFaults& faults, Log log, std::stop_token abort,
      const domain::DeploymentRequest& request, const ports::TakenJob& taken,
      JobCancellation& cancellation)
      : ports_(ports),
        settings_(settings),
        metrics_(metrics),
        faults_(faults),
        log_(std::move(log)),
        abort_(std::move(abort)),
        secrets_(secrets),
        request_(request),
        taken_(taken),
        cancellation_(cancellation),
        caches_(domain::cache_namespaces(settings.cache_key, settings.cache_sharing, request)),
        registration_(secrets.add(all_secrets(request, caches_))),
        job_{request.deployment_id, cancellation.token(), Clock::now() + settings.build_timeout},
        channel_(ports.reporter, request.deployment_id, taken.receipt.lease, settings.channel,
                 metrics, log_),
        events_(channel_, secrets),
        watch_(
            events_, settings.silence_timeout, [this] { return computes(); },
            [this](const std::string& step) { end_silence(step); }),
        steps_(ports, settings, metrics, log_, request, caches_, taken, job_, watch_) {}

  void execute(const std::function<void(Outcome)>& settle) {
    const auto started = Clock::now();
    events_.hold();
    log_.info("started: {}, attempt {}, engine {}", source(), taken_.attempt, settings_.engine);
    events_.info(taken_.attempt == 1
                     ? std::string("Build started")
                     : "Build started again (attempt " + std::to_string(taken_.attempt) +
                           "): the worker that had it was lost, and perhaps the end of its log");
    announced_ = std::async(std::launch::async, [this] { return announce(); }).share();
    const Result<ports::PublishedImage> published = build();
    events_.finish();
    const Outcome outcome = conclude(published);
    channel_.close();
    const EventLog::Steps steps = events_.steps();
    log_.info("ended: {} after {:.1f} s, {}, {} of {} steps cached", to_string(outcome),
              std::chrono::duration<double>(Clock::now() - started).count(), source(), steps.cached,
              steps.all);
    settle(outcome);
    clean_up();
  }

 private:
  /// For the operator's log: repository@commit, or its branch.
  [[nodiscard]] std::string source() const {
    constexpr std::size_t k_shown_name = 100;
    constexpr std::size_t k_shown_commit = 12;
    const std::string& commit = steps_.commit();
    return cut_characters(request_.repository_name, k_shown_name) + "@" +
           (commit.empty() ? cut_characters(request_.branch, k_shown_name)
                           : commit.substr(0, k_shown_commit));
  }

  /// Posts BUILDING. Its answer tells whether the deployment had already ended; then nothing of
  /// what was begun meanwhile is told.
  Result<> announce() {
    const StatusUpdate update{
        .status = DeploymentStatus::building, .error = {}, .log = {}, .image_uri = {}};
    const auto answer =
        channel_.status(update, cancellation_.token(), Clock::now() + settings_.building_patience);
    if (!answer) {
      events_.discard();
      return std::unexpected(answer.error());
    }
    if (answer->deployment_completed || answer->service_deleted) {
      log_.info("the platform has ended this deployment already");
      events_.discard();
      cancellation_.request_stop(StopReason::cancelled_by_user);
      return {};
    }
    events_.release();
    return {};
  }

  /// Failures that are not the customer's are tried again, as often as the queue would, and the
  /// customer is told.
  Result<ports::PublishedImage> build() {
    auto random = make_random();
    for (int attempt = taken_.attempt;; ++attempt) {
      auto published = steps_.run([this] { return wait_for_answer(); });
      if (published || refusal() || job_.stop.stop_requested() || !may_pass(published.error()) ||
          attempt >= settings_.most_attempts) {
        return published;
      }
      const auto delay = next_delay(settings_.repeat_backoff, attempt - taken_.attempt,
                                    published.error().retry_after, random);
      if (Clock::now() + delay >= job_.deadline) {
        return published;
      }
      const Error& error = published.error();
      log_.warning("trying again in {} ms after {}: {}", delay.count(), to_string(error.kind),
                   error.message);
      events_.finish();
      events_.warning((error.customer.empty() ? std::string(k_our_fault_passing)
                                              : without_advice(error.customer)) +
                      ". Trying again (attempt " + std::to_string(attempt + 1) + " of " +
                      std::to_string(settings_.most_attempts) + ")");
      if (!sleep_for(delay, job_.stop)) {
        return failure(ErrorKind::cancelled, "stopped");
      }
    }
  }

  /// Only the source is fetched before the platform has said that it wants the build. Called by
  /// whatever goes further, on threads of its own too.
  Result<> wait_for_answer() const {
    Result<> answer = std::shared_future(announced_).get();
    if (job_.stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped");
    }
    return answer;
  }

  /// Why the platform does not want the build.
  std::optional<Error> refusal() const {
    const Result<> answer = std::shared_future(announced_).get();
    return answer || answer.error().kind == ErrorKind::cancelled ? std::nullopt
                                                                 : std::optional(answer.error());
  }

  Outcome conclude(const Result<ports::PublishedImage>& published) {
    if (published) {
      faults_.published(request_.deployment_id);
    }
    if (const auto error = refusal()) {
      return not_announced(*error);
    }
    const StopReason reason = cancellation_.reason();
    if (published && reason != StopReason::cancelled_by_user && reason != StopReason::superseded) {
      return report_builded(*published);
    }
    return report_unfinished(published ? Error{.kind = ErrorKind::cancelled, .message = "stopped"}
                                       : published.error());
  }

  /// Whether the build used more than a trace of processor time since this was asked last.
  bool computes() {
    const auto used =
        ports_.limits == nullptr ? std::nullopt : ports_.limits->cpu_time(request_.deployment_id);
    const auto before = std::exchange(cpu_time_, used.value_or(cpu_time_));
    return used && (*used < before || (*used - before) * k_trace > settings_.silence_timeout);
  }

  void end_silence(const std::string& step) {
    silent_step_ = step;
    cancellation_.request_stop(StopReason::silent);
  }

  /// After the job is settled: nobody waits for it.
  void clean_up() {
    if (const auto& repository = steps_.repository()) {
      const JobContext job{.deployment_id = job_.deployment_id,
                           .stop = abort_,
                           .deadline = Clock::now() + k_clean_up_limit};
      ports_.image.clean_up(job, *repository, request_.deployment_id.str());
    }
  }

  Outcome not_announced(const Error& error) {
    switch (error.kind) {
      case ErrorKind::not_found:
        return end_unknown(final_context(), cancelled_update(), error);
      case ErrorKind::denied:
        log_.error("giving the job back: {}", error.message);
        return Outcome::refused;
      case ErrorKind::conflict:
        return Outcome::lost;
      default:
        log_.error("BUILDING could not be reported, giving the job back: {}", error.message);
        return Outcome::given_back;
    }
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
          // It may be ours again: Redis came back with an old state and gave it to us.
          give_back(ports_.queue, taken_.receipt, log_, abort_);
          return Outcome::lost;
        case StopReason::silent:
          return report_failed(
              "The build showed no sign of life for " + in_words(settings_.silence_timeout) +
              " and was stopped; does it wait for something? Last step: " + silent_step_);
        default:
          return report(cancelled_update());
      }
    }
    if (error.kind == ErrorKind::timed_out && Clock::now() >= job_.deadline) {
      log_.warning("build timeout: {}", error.message);
      return report_failed("The build took longer than " + in_words(settings_.build_timeout) +
                           " and was stopped; make it shorter or ask for a higher limit");
    }
    if (!error.setting.empty()) {
      return go_back(error);
    }
    log_.warning("failed ({}): {}", to_string(error.kind), error.message);
    if (!settings_.help_url.empty()) {
      events_.info("Help: " + settings_.help_url + "/" + std::string(to_string(error.kind)));
    }
    return report_failed(error.customer.empty() ? std::string(k_our_fault) : error.customer);
  }

  Outcome go_back(const Error& error) {
    log_.error("goes back to the queue, look at {}: {}", error.setting, error.message);
    if (faults_.met(request_.deployment_id, error)) {
      tell(std::string(k_operators_fault));
    }
    return Outcome::blocked;
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
            metrics_,     log_};
  }

  const JobRunner::Ports& ports_;
  const JobSettings& settings_;
  Metrics& metrics_;
  OperatorFaults& faults_;
  Log log_;
  const std::stop_token abort_;
  SecretStore& secrets_;
  const domain::DeploymentRequest& request_;
  const ports::TakenJob& taken_;
  JobCancellation& cancellation_;
  const domain::CacheNamespaces caches_;
  SecretStore::Registration registration_;
  JobContext job_;
  DeploymentChannel channel_;
  EventLog events_;
  SilenceWatch watch_;
  BuildSteps steps_;
  std::shared_future<Result<>> announced_;
  std::chrono::nanoseconds cpu_time_{0};  ///< The silence watch's alone.
  std::string silent_step_;               ///< Written before the stop is requested.
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
    case Outcome::blocked:
      return "blocked";
    case Outcome::lost:
      return "lost";
  }
  return "failed";
}

void JobRunner::run(const domain::DeploymentRequest& request, const ports::TakenJob& job,
                    JobCancellation& cancellation, const std::function<void(Outcome)>& settle) {
  const Log log = log_.with("deployment", request.deployment_id.str())
                      .with("service", request.service_id.str());
  bool settled = false;
  const auto settle_once = [&](Outcome outcome) {
    settled = true;
    settle(outcome);
  };
  try {
    Run(ports_, settings_, secrets_, metrics_, faults_, log, abort_, request, job, cancellation)
        .execute(settle_once);
  } catch (const std::exception& error) {
    if (settled) {
      // By now it may be built again, by us too: that build is not to be ended.
      log.error("after the end: {}", error.what());
      return;
    }
    // A defect of ours must not take the other deployments with it, nor leave this one hanging.
    settle(
        reject(job.receipt, {.kind = ErrorKind::internal, .message = error.what()}, cancellation));
  }
}

Outcome JobRunner::reject(const ports::Receipt& receipt, const Error& error,
                          const JobCancellation& cancellation) {
  const Log log = log_.with("deployment", receipt.deployment.str());
  log.warning("rejected: {}", error.message);
  try {
    DeploymentChannel channel(ports_.reporter, receipt.deployment, receipt.lease, settings_.channel,
                              metrics_, log);
    return report_end(
        {ports_.queue, channel, receipt, cancellation, abort_, settings_.final_patience, metrics_,
         log},
        failed_update(error.customer.empty() ? std::string(k_our_fault) : error.customer));
  } catch (const std::exception& trouble) {
    // There may be no thread to say it with.
    log.error("giving the job back: {}", trouble.what());
    return Outcome::given_back;
  }
}

void JobRunner::give_back(const ports::Receipt& receipt) {
  pipeline::give_back(ports_.queue, receipt, log_.with("deployment", receipt.deployment.str()),
                      abort_);
}

Outcome JobRunner::deliver(const ports::Undelivered& undelivered,
                           const JobCancellation& cancellation) {
  const ports::Receipt& receipt = undelivered.receipt;
  const Log log = log_.with("deployment", receipt.deployment.str());
  try {
    DeploymentChannel channel(ports_.reporter, receipt.deployment, receipt.lease, settings_.channel,
                              metrics_, log);
    return deliver_end({ports_.queue, channel, receipt, cancellation, abort_,
                        settings_.adopted_patience, metrics_, log},
                       undelivered.ending);
  } catch (const std::exception& trouble) {
    log.error("leaving the status to others: {}", trouble.what());
    leave_to_others(ports_.queue, receipt, log, abort_);
    return Outcome::given_back;
  }
}

}  // namespace builder::pipeline
