#include "work/job_runner.hpp"

#include "base/text.hpp"
#include "build/build_steps.hpp"
#include "build/silence_watch.hpp"
#include "build/step_tails.hpp"
#include "domain/closing_words.hpp"
#include "domain/customer_line.hpp"
#include "domain/deployment_request.hpp"
#include "domain/failures/failure_rules.hpp"
#include "domain/log_text.hpp"
#include "domain/operator_line.hpp"
#include "domain/request_secrets.hpp"
#include "domain/source_spec.hpp"
#include "ports/build_history.hpp"
#include "ports/build_limits.hpp"
#include "ports/deployment_reporter.hpp"
#include "ports/image_builder.hpp"
#include "ports/registry.hpp"
#include "ports/retry_until_answered.hpp"
#include "report/deployment_channel.hpp"
#include "report/event_log.hpp"
#include "report/final_status.hpp"
#include "work/end_table.hpp"
#include "work/step_notes.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

namespace builder::work {

namespace {

using domain::LogType;
using domain::Message;
using ports::DeploymentStatus;
using ports::JobCancellation;
using ports::JobContext;
using ports::StatusUpdate;
using ports::StopReason;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds k_clean_up_limit{30};
/// A build that uses the processor for a smaller part of the time than this waits for something.
constexpr int k_trace = 100;
constexpr std::chrono::seconds k_tell_limit{10};
constexpr std::chrono::seconds k_look_limit{20};
constexpr std::size_t k_looks_at_once = 8;

constexpr std::string_view k_our_fault =
    "The build service had a problem that is not caused by your project; please deploy again or "
    "ask the operator";
constexpr std::string_view k_our_fault_passing =
    "The build service had a problem that is not caused by your project";
constexpr std::string_view k_operators_fault =
    "The build service has a problem that its operator has to mend (no fault of your project); "
    "this build waits, and starts again by itself";

/// What a rule knows of a failure; none: no rule fits.
using Why = std::optional<domain::failures::Explanation>;

/// Names the page about a kind of failure, and the place in it; empty: there are none.
std::string help_line(const JobSettings& settings, std::string_view kind, const Why& why) {
  return settings.help_url.empty() ? std::string()
                                   : "Help: " + settings.help_url + "/" + std::string(kind) +
                                         (why ? "#" + why->reason : "");
}

/// Whose matter a failure of this kind is that no rule explains.
domain::failures::Category category_of(ErrorKind kind) {
  using domain::failures::Category;
  switch (kind) {
    case ErrorKind::build_failed:
    case ErrorKind::not_found:
    case ErrorKind::denied:
    case ErrorKind::invalid_input:
      return Category::customer;
    default:
      return Category::platform;
  }
}

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
  for (const Secret& shared : caches.dockerfiles) {
    secrets.push_back({"cache namespace", shared});
  }
  secrets.push_back({"cache namespace of buildpacks", caches.buildpacks});
  return secrets;
}

/// One deployment on its way through the steps.
class Run final : private build::StepObserver {
 public:
  Run(const RunPorts& ports, const JobSettings& settings, SecretStore& secrets,
      ports::Metrics& metrics, OperatorFaults& faults, Log log, std::stop_token abort,
      const domain::DeploymentRequest& request, const ports::TakenJob& taken,
      JobCancellation& cancellation, RunObserver& observer)
      : ports_(ports),
        settings_(settings),
        metrics_(metrics),
        faults_(faults),
        log_(std::move(log)),
        abort_(std::move(abort)),
        request_(request),
        taken_(taken),
        cancellation_(cancellation),
        observer_(observer),
        caches_(domain::cache_namespaces(settings.cache_key, request)),
        secrets_(secrets.add_deployment(all_secrets(request, caches_))),
        build_timeout_(settings.build_timeout),
        job_{.deployment_id = request.deployment_id,
             .stop = cancellation.token(),
             .deadline = started_ + settings.build_timeout,
             .log = log_,
             .retries = std::make_shared<ports::RetryBudget>(taken.attempt)},
        record_(ports.history == nullptr ? nullptr : ports.history->begin(run_start())),
        channel_(ports.reporter, request.deployment_id, taken.receipt.lease, settings.channel,
                 metrics, log_, record_.get()),
        events_(channel_, secrets_),
        step_notes_(events_, secrets_, observer, record_.get()),
        tails_(step_notes_),
        watch_(
            tails_, settings.silence_timeout, [this] { return computes(); },
            [this](const std::string& step) { end_silence(step); }),
        steps_({ports.source, ports.image, ports.buildpacks, ports.registry, ports.queue,
                ports.search, secrets, ports.attestations, ports.sboms},
               settings.steps, metrics, log_, request, caches_, taken, job_, watch_, *this) {}

  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() override = default;

  EndedRun execute() {
    const auto started = Clock::now();
    events_.hold();
    log_.info("started: {}, attempt {}, engine {}", source(), taken_.attempt, settings_.engine);
    events_.info(taken_.attempt == 1
                     ? std::string("Build started")
                     : "Build started again (attempt " + std::to_string(taken_.attempt) +
                           "): the worker that had it was lost, and perhaps the end of its log");
    warn_of_readable();
    announced_ = std::async(std::launch::async, [this] { return announce(); }).share();
    const Result<ports::PublishedImage> published = build();
    events_.finish();
    const Outcome outcome = conclude(published);
    channel_.close();
    if (record_ != nullptr) {
      record_->end(run_end(outcome, published));
    }
    const domain::StepTally steps = events_.steps();
    log_.info("ended: {} after {:.1f} s, {}, engine {}, {} of {} steps cached{}",
              to_string(outcome), std::chrono::duration<double>(Clock::now() - started).count(),
              source(), settings_.engine, steps.cached(), steps.all(),
              outcome == Outcome::builded ? ", " + image_uri_ : "");
    EndedRun ended{.outcome = outcome};
    if (outcome != Outcome::lost && (published || fate_of(outcome) == report::Fate::ended) &&
        steps_.repository()) {
      ended.leftovers = {.deployment = request_.deployment_id, .repository = *steps_.repository()};
      if (outcome == Outcome::builded) {
        ended.leftovers->sbom = steps_.sbom_left();
      }
    }
    return ended;
  }

 private:
  /// A job's own words, for the history and for what is said about an image.
  [[nodiscard]] std::string shown(std::string_view text) const override {
    return domain::shown_line(secrets_.redactor(), text);
  }

  [[nodiscard]] ports::RunStart run_start() const {
    const auto spec = domain::resolve_source(request_, settings_.steps.github_url);
    ports::RunStart start{
        .deployment = request_.deployment_id,
        .service = request_.service_id,
        .attempt = taken_.attempt,
        .repository = shown(spec ? spec->url : request_.repository_name),
        .branch = shown(request_.branch),
        .dockerfile = shown(request_.runtime_file_path),
        .settings = settings_.image_settings,
        .port = request_.ports.empty() ? std::uint16_t{0} : request_.ports.front().container_port,
        .engine = settings_.engine,
        .version = settings_.version,
        .worker = settings_.worker};
    for (const domain::EnvironmentVariable& variable : request_.environment) {
      start.variables.push_back(shown(variable.key));
    }
    return start;
  }

  /// The queue had the last word: what was to be told counts only if it was.
  [[nodiscard]] ports::RunEnd run_end(Outcome outcome,
                                      const Result<ports::PublishedImage>& published) const {
    ports::RunEnd end;
    if (outcome == Outcome::failed || fate_of(outcome) == report::Fate::goes_back) {
      end = told_;
    } else if (outcome == Outcome::cancelled || outcome == Outcome::superseded) {
      end.line = cancelled_update(outcome == Outcome::superseded).log->text;
    }
    end.outcome = to_string(outcome);
    end.commit = shown(steps_.commit());
    if (published) {
      end.image = image_uri_;
      end.digest = published->digest;
    }
    end.context_bytes = steps_.figures().context_bytes_sent;
    end.pushed_bytes = steps_.figures().bytes_pushed;
    return end;
  }

  Result<> accepted() override {
    Result<> answer = std::shared_future(announced_).get();
    if (job_.stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped");
    }
    return answer;
  }

  void phase_begins(std::string_view phase) override {
    if (record_ != nullptr) {
      record_->phase(phase);
    }
    observer_.phase_begins(phase);
  }

  void timeout_chosen(std::chrono::seconds timeout) override {
    build_timeout_ = timeout;
    job_.deadline = started_ + timeout;
  }

  void source_was_read() override { observer_.source_was_read(); }

  void warn_of_readable() {
    const std::shared_ptr<const Redactor> redactor = secrets_.redactor();
    if (redactor->beyond().empty()) {
      return;
    }
    constexpr std::size_t k_named = 20;
    std::string names;
    for (std::size_t i = 0; i < std::min(k_named, redactor->beyond().size()); ++i) {
      names += (i == 0 ? "" : ", ") + redactor->beyond()[i];
    }
    events_.warning(
        std::string("The values of all variables are too large to be taken out of this log: ") +
        "if the build prints these, they stay readable: " + names +
        (redactor->beyond().size() > k_named ? ", …" : ""));
  }

  /// For the operator's log: repository@commit, or its branch.
  [[nodiscard]] std::string source() const {
    constexpr std::size_t k_shown_name = 100;
    constexpr std::size_t k_shown_commit = 12;
    const std::string& commit = steps_.commit();
    return truncate_characters(request_.repository_name, k_shown_name) + "@" +
           (commit.empty() ? truncate_characters(request_.branch, k_shown_name)
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

  /// Failures that are not the customer's are tried again, as often as the steps have left, and the
  /// customer is told.
  Result<ports::PublishedImage> build() {
    auto random = make_random();
    for (;;) {
      tails_.forget();
      auto published = steps_.run();
      if (published || refusal() || job_.stop.stop_requested() || !may_pass(published.error())) {
        return published;
      }
      const std::optional<int> attempt = job_.retries->take();
      if (!attempt) {
        return published;
      }
      const auto delay = next_delay(settings_.repeat_backoff, *attempt - taken_.attempt - 1,
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
                      ". Trying again (attempt " + std::to_string(*attempt) + " of " +
                      std::to_string(job_.retries->most()) + ")");
      if (!sleep_for(delay, job_.stop)) {
        return failure(ErrorKind::cancelled, "stopped");
      }
    }
  }

  /// Why the platform does not want the build.
  std::optional<Error> refusal() const {
    const Result<> answer = std::shared_future(announced_).get();
    return answer || answer.error().kind == ErrorKind::cancelled ? std::nullopt
                                                                 : std::optional(answer.error());
  }

  Outcome conclude(const Result<ports::PublishedImage>& published) {
    phase_begins("report");
    if (published) {
      faults_.published(request_.deployment_id, request_.service_id);
    }
    const auto untold = refusal();
    const RunEnd end = decide_end(untold ? std::optional(untold->kind) : std::nullopt,
                                  product_of(published), stop_reason());
    if (untold) {
      return not_announced(end.outcome, *untold);
    }
    if (published && end.outcome == Outcome::builded) {
      return report_builded(*published);
    }
    return unfinished(end, published ? Error{} : published.error());
  }

  [[nodiscard]] Product product_of(const Result<ports::PublishedImage>& published) const {
    if (published) {
      return Product::image;
    }
    const Error& error = published.error();
    return is_out_of_time(error)    ? Product::out_of_time
           : !error.setting.empty() ? Product::operators_fault
                                    : Product::failure;
  }

  [[nodiscard]] StopReason stop_reason() const {
    return job_.stop.stop_requested() ? cancellation_.reason() : StopReason::none;
  }

  [[nodiscard]] bool is_out_of_time(const Error& error) const {
    return error.kind == ErrorKind::timed_out && Clock::now() >= job_.deadline;
  }

  /// Whether the build used more than a trace of processor time since this was asked last.
  bool computes() {
    const auto used =
        ports_.limits == nullptr ? std::nullopt : ports_.limits->cpu_time(request_.deployment_id);
    const auto before = std::exchange(cpu_time_, used.value_or(cpu_time_));
    return used && (*used < before || (*used - before) * k_trace > watch_.limit());
  }

  void end_silence(const std::string& step) {
    silent_step_ = step;
    cancellation_.request_stop(StopReason::silent);
  }

  Outcome not_announced(Outcome outcome, const Error& error) {
    if (outcome == Outcome::gone) {
      return end_unknown(final_context(), cancelled_update(), error);
    }
    if (fate_of(outcome) == report::Fate::goes_back) {
      log_.error("BUILDING could not be reported, giving the job back: {}", error.message);
    }
    return outcome;
  }

  Outcome report_builded(const ports::PublishedImage& image) {
    const bool by_digest =
        settings_.image_reference == ImageReference::digest ||
        (settings_.image_reference == ImageReference::automatic && settings_.keep_images > 1);
    const std::string& repository = image.repository.uri;
    image_uri_ = by_digest ? repository + "@" + image.digest : repository;
    for (std::string& row :
         domain::closing_rows({.packed = steps_.image_size(),
                               .context_bytes = steps_.figures().context_bytes_sent,
                               .pushed_bytes = steps_.figures().bytes_pushed,
                               .steps = events_.steps()})) {
      events_.info(std::move(row));
    }
    return report({.status = DeploymentStatus::builded,
                   .error = {},
                   .log = Message{LogType::info,
                                  "Build completed successfully. Image is ready for deployment."},
                   .image_uri = image_uri_});
  }

  Outcome unfinished(const RunEnd& end, const Error& error) {
    switch (end.outcome) {
      case Outcome::cancelled:
      case Outcome::superseded:
        return report(cancelled_update());
      case Outcome::failed:
        return report_failed(end.line, error);
      case Outcome::blocked:
        return go_back(error);
      case Outcome::requeued:
        if (end.line == LastLine::disk_short) {
          tell(
              "The build machine is short of disk space: this build was stopped and starts again "
              "when there is enough");
        }
        return end.outcome;
      case Outcome::lost:
        // It may be ours again: Redis came back with an old state and gave it to us.
        requeue(ports_.queue, taken_.receipt, log_, abort_);
        return end.outcome;
      default:
        return end.outcome;
    }
  }

  Outcome go_back(const Error& error) {
    log_.error("goes back to the queue: {}", domain::operator_line(error));
    const auto met = faults_.met(request_.deployment_id, request_.service_id, error);
    if (met.is_first) {
      tell(std::string(k_operators_fault));
    }
    if (met.hold.count() > 0) {
      log_.info("waits {} ms first: no other service has this trouble", met.hold.count());
      observer_.rests();
      if (!sleep_for(met.hold, job_.stop)) {
        return unfinished(decide_end(std::nullopt, Product::failure, stop_reason()),
                          {.kind = ErrorKind::cancelled, .message = "stopped"});
      }
    }
    return Outcome::blocked;
  }

  /// `ending`: of a build that did not end by itself.
  [[nodiscard]] Why explain(const Error& error, std::string_view ending) const {
    const auto tail = ending.empty() ? tails_.failed() : tails_.interrupted();
    const build::StepTails::Tail step = tail.value_or(build::StepTails::Tail());
    return domain::failures::failure_rules().explain(
        {.step = step.name,
         .exit_code = build::exit_code_in(step.error),
         .output = step.output,
         .error = error.message + "\n" + error.customer,
         .ending = ending,
         .redactor = secrets_.redactor()});
  }

  Outcome report_failed(LastLine line, const Error& error) {
    switch (line) {
      case LastLine::disk_full:
        return report_stopped(
            "The build machine ran out of disk space during this build, and again when it was "
            "repeated; make the build write less, or ask the operator for more disk",
            "disk_full", error);
      case LastLine::silence:
        return report_stopped(
            "The build showed no sign of life for " +
                in_words(std::chrono::duration_cast<std::chrono::seconds>(watch_.limit())) +
                " and was stopped; does it wait for something? Last step: " + silent_step_,
            "silent", error);
      case LastLine::build_timeout:
        return report_stopped("The build took longer than " + in_words(build_timeout_) +
                                  " and was stopped; make it shorter or ask for a higher limit",
                              "build_timeout", error);
      default:
        break;
    }
    const Why why = explain(error, "");
    log_failure(error, to_string(error.kind), why);
    // Before anything is cut: half of a secret would not be recognised.
    std::string text = error.customer.empty()
                           ? std::string(k_our_fault)
                           : domain::shown_line(secrets_.redactor(), error.customer);
    if (why) {
      text = domain::failures::with_sentence(text, error.last_words, *why);
    } else if (!error.last_words.empty()) {
      text += ": " + error.last_words;
    }
    return report_failed(text, to_string(error.kind), category_of(error.kind), why);
  }

  Outcome report_stopped(const std::string& text, std::string_view ending, const Error& error) {
    const Why why = explain(error, ending);
    log_failure(error, ending, why);
    return report_failed(text, ending, domain::failures::Category::customer, why);
  }

  void log_failure(const Error& error, std::string_view kind, const Why& why) const {
    (why ? log_.with("reason", why->reason) : log_).warning("failed ({}): {}", kind, error.message);
  }

  Outcome report_failed(const std::string& text, std::string_view kind,
                        domain::failures::Category category, const Why& why) {
    if (why) {
      events_.emit(Message{LogType::error, "Why: " + why->sentence});
      events_.info("What to do: " + why->suggestion);
    }
    if (const std::string help = help_line(settings_, kind, why); !help.empty()) {
      events_.info(help);
    }
    told_.category = to_string(why ? why->category : category);
    told_.reason = why ? std::string_view(why->reason) : kind;
    told_.advice = why ? why->suggestion : "";
    metrics_.failed(told_.category, told_.reason);
    const StatusUpdate update =
        report::failed_update(domain::shown_line(secrets_.redactor(), text));
    told_.line = domain::customer_line(update.error);
    return report(update);
  }

  /// Brings a last line to the customer of a build that goes back to the queue.
  void tell(std::string line) {
    told_.line = line;
    // Only a status is awaited; BUILDING changes nothing.
    const StatusUpdate update{.status = DeploymentStatus::building,
                              .error = {},
                              .log = Message{LogType::error, std::move(line)},
                              .image_uri = {}};
    if (const auto told = channel_.status(update, abort_, Clock::now() + k_tell_limit); !told) {
      log_.warning("the customer was not told: {}", told.error().message);
    }
  }

  [[nodiscard]] StatusUpdate cancelled_update() const {
    return cancelled_update(cancellation_.reason() == StopReason::superseded);
  }

  static StatusUpdate cancelled_update(bool superseded) {
    return report::update_of(
        {superseded ? ports::Verdict::superseded : ports::Verdict::cancelled_by_user, {}});
  }

  Outcome report(const StatusUpdate& update) { return report::report_end(final_context(), update); }

  report::FinalContext final_context() {
    return {ports_.queue, channel_, taken_.receipt, cancellation_, abort_, settings_.final_patience,
            metrics_,     log_};
  }

  const RunPorts& ports_;
  const JobSettings& settings_;
  ports::Metrics& metrics_;
  OperatorFaults& faults_;
  Log log_;
  const std::stop_token abort_;
  const domain::DeploymentRequest& request_;
  const ports::TakenJob& taken_;
  JobCancellation& cancellation_;
  RunObserver& observer_;
  const domain::CacheNamespaces caches_;
  const SecretStore::Registration secrets_;
  const SteadyTime started_ = Clock::now();
  std::chrono::seconds build_timeout_;
  JobContext job_;                                  ///< Its deadline moves with `build_timeout_`.
  const std::unique_ptr<ports::RunRecord> record_;  ///< Null: there is no history.
  report::DeploymentChannel channel_;
  report::EventLog events_;
  StepNotes step_notes_;
  build::StepTails tails_;
  build::SilenceWatch watch_;
  build::BuildSteps steps_;
  std::shared_future<Result<>> announced_;
  std::chrono::nanoseconds cpu_time_{0};  ///< The silence watch's alone.
  std::string image_uri_;                 ///< Of an image that is in the registry.
  std::string silent_step_;               ///< Written before the stop is requested.
  ports::RunEnd told_;                    ///< Of an end that is ours, for the history.
};

/// At a limit of the system, of a control group or of the unit.
bool is_without_a_thread(const std::exception& error) {
  const auto* const system = dynamic_cast<const std::system_error*>(&error);
  return system != nullptr && system->code() == std::errc::resource_unavailable_try_again;
}

}  // namespace

EndedRun JobRunner::run(const domain::DeploymentRequest& request, const ports::TakenJob& job,
                        JobCancellation& cancellation, RunObserver& observer) {
  const Log log = log_.with("deployment", request.deployment_id.str())
                      .with("service", request.service_id.str())
                      .with("attempt", std::to_string(job.attempt));
  try {
    return Run(ports_, settings_, secrets_, metrics_, faults_, log, abort_, request, job,
               cancellation, observer)
        .execute();
  } catch (const std::exception& error) {
    if (is_without_a_thread(error)) {
      // The operator's affair, and over when a build beside it has ended.
      const std::string trouble = std::string("no thread could be made: ") + error.what();
      log.error("giving the job back: {}", trouble);
      return {.outcome = Outcome::requeued, .no_thread = trouble};
    }
    // A defect of ours must not take the other deployments with it, nor leave this one hanging.
    return {.outcome = reject(job.receipt, {.kind = ErrorKind::internal, .message = error.what()},
                              cancellation)};
  }
}

void JobRunner::clean_up(const Leftovers& leftovers) {
  const ports::JobContext job{.deployment_id = leftovers.deployment,
                              .stop = abort_,
                              .log = log_.with("deployment", leftovers.deployment.str())};
  try {
    // First: the engine has the image, and need not fetch it.
    if (leftovers.sbom) {
      describe(*leftovers.sbom, job.within(build::k_sbom_limit));
    }
    ports_.image.clean_up(job.within(k_clean_up_limit), leftovers.repository,
                          leftovers.deployment.str());
  } catch (const std::exception& error) {
    job.log.error("after the end: {}", error.what());
  }
}

void JobRunner::describe(const build::SbomTask& task, const ports::JobContext& job) {
  const auto began = Clock::now();
  const auto done = build::attach_sboms(*ports_.sboms, *ports_.attestations, job, task);
  metrics_.image_described(done ? build::to_string(*done) : "failed");
  if (!done) {
    job.log.warning("no SBOM is attached to the image: {}", domain::operator_line(done.error()));
    return;
  }
  job.log.info("SBOM of the image: {}, after {:.1f} s", build::to_string(*done),
               std::chrono::duration<double>(Clock::now() - began).count());
}

Outcome JobRunner::reject(const ports::Receipt& receipt, const Error& error,
                          const JobCancellation& cancellation) {
  const Log log = log_.with("deployment", receipt.deployment.str());
  log.warning("rejected: {}", error.message);
  try {
    const auto record = begin_without_a_build(receipt.deployment);
    report::DeploymentChannel channel(ports_.reporter, receipt.deployment, receipt.lease,
                                      settings_.channel, metrics_, log, record.get());
    if (const std::string help = help_line(settings_, to_string(error.kind), {}); !help.empty()) {
      channel.append(LogType::info, help);
    }
    metrics_.failed(to_string(category_of(error.kind)), to_string(error.kind));
    const StatusUpdate update =
        report::failed_update(error.customer.empty() ? std::string(k_our_fault) : error.customer);
    const Outcome outcome = report::report_end({ports_.queue, channel, receipt, cancellation,
                                                abort_, settings_.final_patience, metrics_, log},
                                               update);
    if (record != nullptr) {
      record->end({.outcome = std::string(to_string(outcome)),
                   .category = std::string(to_string(category_of(error.kind))),
                   .reason = std::string(to_string(error.kind)),
                   .line = domain::customer_line(update.error)});
    }
    return outcome;
  } catch (const std::exception& trouble) {
    // There may be no thread to say it with.
    log.error("giving the job back: {}", trouble.what());
    return Outcome::requeued;
  }
}

BuiltBefore JobRunner::built_before(const std::vector<std::string>& payloads,
                                    const std::stop_token& stop) {
  std::atomic<std::size_t> next = 0;
  const auto look = [&] {
    BuiltBefore found;
    for (std::size_t i = next++; i < payloads.size() && !stop.stop_requested(); i = next++) {
      const domain::ParsedJob parsed = domain::parse_job(payloads[i]);
      if (!parsed.request) {
        continue;
      }
      const auto there = has_image(*parsed.request, stop);
      if (there && *there) {
        found.ended.push_back(parsed.request->deployment_id);
      } else if (!there && there.error().is_transient()) {
        found.trouble = there.error();
      }
    }
    return found;
  };
  std::vector<std::future<BuiltBefore>> looks;
  for (std::size_t i = 0; i < std::min(payloads.size(), k_looks_at_once); ++i) {
    looks.push_back(std::async(std::launch::async | std::launch::deferred, look));
  }
  BuiltBefore all;
  for (auto& one : looks) {
    BuiltBefore found = one.get();
    all.ended.insert(all.ended.end(), found.ended.begin(), found.ended.end());
    all.trouble = found.trouble ? std::move(found.trouble) : std::move(all.trouble);
  }
  return all;
}

Result<bool> JobRunner::has_image(const domain::DeploymentRequest& request,
                                  const std::stop_token& stop) {
  const JobContext job{.deployment_id = request.deployment_id,
                       .stop = stop,
                       .deadline = Clock::now() + k_look_limit,
                       .log = log_.with("deployment", request.deployment_id.str())};
  BUILDER_TRY_ASSIGN(const auto repository,
                     ports_.registry.find_repository(job, request.service_id));
  if (!repository) {
    return false;
  }
  BUILDER_TRY_ASSIGN(const auto image,
                     ports_.registry.find(job, *repository, request.deployment_id.str()));
  return image.has_value();
}

std::unique_ptr<ports::RunRecord> JobRunner::begin_without_a_build(
    const domain::DeploymentId& deployment) {
  return ports_.history == nullptr ? nullptr
                                   : ports_.history->begin({.deployment = deployment,
                                                            .attempt = 0,
                                                            .engine = settings_.engine,
                                                            .version = settings_.version,
                                                            .worker = settings_.worker});
}

void JobRunner::requeue(const ports::Receipt& receipt) {
  ports::requeue(ports_.queue, receipt, log_.with("deployment", receipt.deployment.str()), abort_);
}

Outcome JobRunner::deliver(const ports::Undelivered& undelivered,
                           const JobCancellation& cancellation) {
  const ports::Receipt& receipt = undelivered.receipt;
  const Log log = log_.with("deployment", receipt.deployment.str());
  try {
    report::DeploymentChannel channel(ports_.reporter, receipt.deployment, receipt.lease,
                                      settings_.channel, metrics_, log);
    const Outcome outcome = report::deliver_end({ports_.queue, channel, receipt, cancellation,
                                                 abort_, settings_.adopted_patience, metrics_, log},
                                                undelivered.ending);
    if (outcome == Outcome::failed && undelivered.ending.verdict == ports::Verdict::attempts_used) {
      metrics_.failed("platform", "worker_lost");
    }
    if (outcome != Outcome::requeued && outcome != Outcome::refused && outcome != Outcome::lost) {
      if (const auto record = begin_without_a_build(receipt.deployment)) {
        const bool lost = undelivered.ending.verdict == ports::Verdict::attempts_used;
        record->end({.outcome = std::string(to_string(outcome)),
                     .category = lost ? "platform" : "",
                     .reason = lost ? "worker_lost" : "",
                     .line = domain::customer_line(report::update_of(undelivered.ending).error)});
      }
      log.info("ended: {} without a build here", to_string(outcome));
    }
    return outcome;
  } catch (const std::exception& trouble) {
    log.error("leaving the status to others: {}", trouble.what());
    leave_to_others(ports_.queue, receipt, log, abort_);
    return Outcome::requeued;
  }
}

}  // namespace builder::work
