#include "adapters/redis/unleased/unsafe_queue.hpp"

#include "adapters/redis/client/connection.hpp"
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/client/shared_connection.hpp"
#include "adapters/redis/unleased/local_jobs.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

namespace builder::adapters::redis {

namespace {

using ports::CancelAnswer;
using ports::Ending;
using ports::Receipt;
using ports::TakenJob;
using Clock = std::chrono::steady_clock;

constexpr std::size_t k_cancel_ahead = 10'000;
constexpr std::string_view k_lost =
    "The worker that built this deployment was lost (it crashed or was killed) before the build "
    "had ended; deploy again";

/// Nobody else can have our jobs while this process lives.
class OwnLease final : public ports::Lease {
 public:
  [[nodiscard]] bool holds() const override { return !over_; }

  [[nodiscard]] bool wait(const std::stop_token& /*stop*/) const override { return !over_; }

  void end() { over_ = true; }

 private:
  std::atomic<bool> over_ = false;
};

class UnsafeQueue final : public ports::JobQueue {
 public:
  UnsafeQueue(RedisConfig config, UnsafeSettings settings, Log log)
      : config_(std::move(config)),
        settings_(std::move(settings)),
        log_(std::move(log)),
        jobs_(settings_.journal, lease_) {}

  void join(ports::QueueListener& listener) override { listener_ = &listener; }

  void leave() override {
    const std::scoped_lock moving(moves_);
    LocalJobs::Changes changes;  // Of no interest: the next process delivers it.
    LocalJobs::Jobs jobs;
    {
      const std::scoped_lock lock(mutex_);
      jobs = jobs_.requeue_all(changes);
    }
    lease_->end();
    if (const auto returned = push_back(jobs); !returned) {
      log_.error("{} jobs could not be given back; they fail at the next start: {}", jobs.size(),
                 returned.error().message);
      return;
    }
    const std::scoped_lock lock(mutex_);
    jobs_.close();
  }

  /// What lost processes had not ended fails; what they had is delivered.
  Result<std::size_t> recover() override {
    std::size_t failed = 0;
    for (const std::string& path : settings_.lost_journals) {
      for (const auto& [id, ending] : JobJournal::read(path)) {
        failed += ending ? 0U : 1U;
        const std::scoped_lock lock(mutex_);
        BUILDER_TRY(jobs_.conclude(domain::DeploymentId(id), ending.value_or(lost())));
      }
      ::unlink(path.c_str());
    }
    settings_.lost_journals.clear();
    settings_.recovered();
    if (failed > 0) {
      log_.error("{} deployments of a worker that was lost end as FAILED", failed);
    }
    listener_->outbox_filled();
    return std::size_t{0};  // Nothing goes back to the queue.
  }

  /// Nothing is remembered here that Redis could lose.
  Result<std::optional<std::vector<std::string>>> doubtful() override { return std::nullopt; }

  Result<std::size_t> vetted(const std::vector<domain::DeploymentId>& /*ended*/) override {
    return std::size_t{0};
  }

  Result<std::optional<TakenJob>> take(std::chrono::milliseconds patience,
                                       const std::stop_token& stop) override {
    const SteadyTime until = Clock::now() + patience;
    for (;;) {
      if (stop.stop_requested()) {
        return failure(ErrorKind::cancelled, "stopped");
      }
      BUILDER_TRY_ASSIGN(auto next, take_next());
      if (next.job) {
        return std::move(next.job);
      }
      if (next.found == Found::job || next.found == Found::no_job) {
        continue;
      }
      if (Clock::now() >= until) {
        return std::nullopt;
      }
      if (next.found == Found::nothing) {
        BUILDER_TRY(wait_for_element(until, stop));
      }
    }
  }

  Result<std::vector<domain::DeploymentId>> look() override {
    BUILDER_TRY_ASSIGN(const Reply elements, range(k_look_ahead));
    std::vector<domain::DeploymentId> ids;
    LocalJobs::Jobs queued;
    for (const Reply& element : elements.list) {
      if (auto job = domain::read_queued_job(element.text)) {
        ids.push_back(job->id);
        queued.push_back(*std::move(job));
      }
    }
    LocalJobs::Changes changes;
    const LocalJobs::Jobs overtaken = [&] {
      const std::scoped_lock lock(mutex_);
      return jobs_.look(queued, changes);
    }();
    tell(changes);
    for (const domain::QueuedJob& job : overtaken) {
      const auto removed = [&] {
        const std::scoped_lock moving(moves_);
        return end_queued(job, ports::Verdict::superseded);
      }();
      BUILDER_TRY(removed);
      if (*removed) {
        listener_->outbox_filled();
      }
    }
    return ids;
  }

  Result<> record(const Receipt& receipt, const domain::Checkpoint& checkpoint) override {
    const std::scoped_lock lock(mutex_);
    return jobs_.record(receipt.deployment, checkpoint);
  }

  Result<std::string> recall(const Receipt& receipt, const ports::ServiceMemory& memory) override {
    const std::scoped_lock lock(mutex_);
    return jobs_.recall(receipt.deployment, memory);
  }

  Result<> remember(const Receipt& receipt, const ports::ServiceMemory& memory,
                    const std::string& text) override {
    const std::scoped_lock lock(mutex_);
    return jobs_.remember(receipt.deployment, memory, text);
  }

  Result<> requeue(const Receipt& receipt) override {
    LocalJobs::Changes changes;
    {
      const std::scoped_lock moving(moves_);
      LocalJobs::Jobs jobs;
      {
        const std::scoped_lock lock(mutex_);
        BUILDER_TRY_ASSIGN(jobs, jobs_.requeue(receipt.deployment, changes));
      }
      if (const auto returned = push_back(jobs); !returned) {
        log_.warning("a job stays here, it could not be given back: {}", returned.error().message);
      }
    }
    tell(changes);
    return {};
  }

  Result<Ending> finish(const Receipt& receipt, const ports::StatusUpdate& update) override {
    const std::scoped_lock lock(mutex_);
    return jobs_.finish(receipt.deployment, update);
  }

  Result<> settle(const Receipt& receipt, ports::Delivery delivery,
                  std::optional<ports::DeploymentStatus> /*posted*/) override {
    const std::scoped_lock lock(mutex_);
    return jobs_.settle(receipt.deployment, delivery);
  }

  Result<std::optional<ports::Undelivered>> adopt() override {
    const std::scoped_lock lock(mutex_);
    return jobs_.adopt();
  }

  Result<CancelAnswer> cancel(const domain::DeploymentId& deployment) override {
    // At once what is here. What is not may be on its way here or back.
    if (const auto answer = cancel_here(deployment); answer != CancelAnswer::noted) {
      return answer;
    }
    const std::scoped_lock moving(moves_);
    if (const auto answer = cancel_here(deployment); answer != CancelAnswer::noted) {
      return answer;
    }
    BUILDER_TRY_ASSIGN(const Reply queued, range(k_cancel_ahead));
    for (const Reply& element : queued.list) {
      if (!element.text.contains(deployment.str())) {
        continue;
      }
      const auto job = domain::read_queued_job(element.text);
      if (!job || job->id != deployment) {
        continue;
      }
      BUILDER_TRY_ASSIGN(const bool removed, end_queued(*job, ports::Verdict::cancelled_by_user));
      if (removed) {
        return CancelAnswer::removed;
      }
    }
    return CancelAnswer::noted;
  }

  Result<std::size_t> length() override {
    BUILDER_TRY_ASSIGN(const Reply reply, shared_.command({"LLEN", config_.queue}, Clock::now()));
    const std::scoped_lock lock(mutex_);
    if (refusal_) {
      return std::unexpected(*refusal_);
    }
    return static_cast<std::size_t>(reply.integer);
  }

  void activity_changed() override {}  // Nobody is told: that takes scripts.

  [[nodiscard]] std::optional<ports::Pause> pause() const override { return std::nullopt; }

  [[nodiscard]] std::string guarantee() const override { return "C"; }

  [[nodiscard]] std::string warning() const override { return {}; }

 private:
  enum class Found { nothing, job, no_job, not_our_turn };

  struct Next {
    Found found = Found::nothing;
    std::optional<TakenJob> job;
  };

  static Ending lost() {
    const std::string line(k_lost);
    return {.verdict = ports::Verdict::as_reported,
            .update = {.status = ports::DeploymentStatus::failed,
                       .error = line,
                       .log = domain::Message{domain::LogType::error, line},
                       .image_uri = {}}};
  }

  CancelAnswer cancel_here(const domain::DeploymentId& deployment) {
    const std::scoped_lock lock(mutex_);
    return jobs_.cancel(deployment);
  }

  Result<Next> take_next() {
    LocalJobs::Changes changes;
    auto next = [&]() -> Result<Next> {
      // Not for long: while Redis is away a giving back goes on for many seconds.
      const std::unique_lock moving(moves_, k_poll);
      if (!moving) {
        return Next{.found = Found::not_our_turn, .job = {}};
      }
      BUILDER_TRY_ASSIGN(const auto element, next_element());
      if (!element) {
        return Next{};
      }
      const auto job = domain::read_queued_job(*element);
      if (!job) {
        return Next{.found = Found::no_job, .job = {}};
      }
      BUILDER_TRY_ASSIGN(auto taken, accept(*job, changes));
      return Next{.found = Found::job, .job = std::move(taken)};
    }();
    tell(changes);
    if (next && next->found == Found::no_job) {
      listener_->malformed_element();
    }
    return next;
  }

  /// The first element of ours or of the queue, which it leaves. Under `moves_`. The pop is not
  /// ended by a stop: its answer is the only trace of the element.
  Result<std::optional<std::string>> next_element() {
    {
      const std::scoped_lock lock(mutex_);
      if (auto ready = jobs_.next_ready()) {
        return std::move(ready->element);
      }
    }
    BUILDER_TRY(connect());
    auto reply = own_->call({"LPOP", config_.queue}, {}, k_reply_patience);
    const std::scoped_lock lock(mutex_);
    refusal_.reset();
    if (!reply) {
      if (reply.error().kind == ErrorKind::denied) {
        refusal_ = reply.error();
      }
      return std::unexpected(std::move(reply).error());
    }
    return reply->type == Reply::Type::text ? std::optional(std::move(reply->text)) : std::nullopt;
  }

  /// Under `moves_`.
  Result<std::optional<TakenJob>> accept(const domain::QueuedJob& job,
                                         LocalJobs::Changes& changes) {
    auto accepted = [&] {
      const std::scoped_lock lock(mutex_);
      return jobs_.accept(job, changes);
    }();
    if (!accepted) {
      if (const auto returned = push_back({job}); !returned) {
        log_.error("a job stays here, it could neither be noted nor given back: {}",
                   returned.error().message);
      }
    }
    return accepted;
  }

  void tell(const LocalJobs::Changes& changes) {
    for (const domain::DeploymentId& id : changes.superseded) {
      listener_->must_stop(id, ports::StopReason::superseded);
    }
    if (!changes.ended.empty()) {
      listener_->outbox_filled();
    }
  }

  /// Moves nothing, so that a stop or a broken connection loses nothing.
  Result<> wait_for_element(SteadyTime until, const std::stop_token& stop) {
    const auto patience = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (!polls_ && patience.count() > 0) {
      // In short waits: what becomes ready here is not seen by Redis.
      const auto wait = std::min(patience, k_poll);
      const auto reply = own_->call({"BLMOVE", config_.queue, config_.queue, "LEFT", "LEFT",
                                     std::to_string(static_cast<double>(wait.count()) / 1000.0)},
                                    stop, wait + k_reply_patience);
      if (reply || !is_no_command(reply.error())) {
        return reply || stop.stop_requested() ? Result<>() : std::unexpected(reply.error());
      }
      polls_ = true;
    }
    sleep_for(std::min(patience, k_poll), stop);
    return {};
  }

  /// To the head of the queue, the first job first. After an error they are ready here. Under
  /// `moves_`.
  Result<> push_back(const LocalJobs::Jobs& jobs) {
    if (jobs.empty()) {
      return {};
    }
    std::vector<std::string> push{"LPUSH", config_.queue};
    for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
      push.push_back(job->element);
    }
    const auto pushed = shared_.command(push, Clock::now() + settings_.patience);
    const std::scoped_lock lock(mutex_);
    if (!pushed) {
      jobs_.keep(jobs);
      return std::unexpected(pushed.error());
    }
    jobs_.queued(jobs);
    return {};
  }

  Result<Reply> range(std::size_t count) {
    return shared_.command({"LRANGE", config_.queue, "0", std::to_string(count - 1)}, Clock::now());
  }

  /// Whether a job that was listed has the end now: nobody had taken it. Under `moves_`.
  Result<bool> end_queued(const domain::QueuedJob& job, ports::Verdict verdict) {
    const std::vector<std::string> remove{"LREM", config_.queue, "1", job.element};
    int sent = 0;
    const auto reply = shared_.run(
        [&](Connection& connection) {
          ++sent;
          return connection.call(remove, {});
        },
        Clock::now());
    // A removal whose answer was lost may have been done, and nobody else would tell the end. Is
    // the element still queued, it is dropped when it is taken.
    const bool unsure = sent > 1 || (sent == 1 && !reply && reply.error().is_transient());
    if (!unsure && !reply) {
      return std::unexpected(reply.error());
    }
    if (!unsure && reply->integer == 0) {
      return false;
    }
    const std::scoped_lock lock(mutex_);
    if (!jobs_.has_ended(job.id)) {
      BUILDER_TRY(jobs_.conclude(job.id, {.verdict = verdict, .update = {}}));
    }
    return true;
  }

  Result<> connect() {
    if (!own_ || !own_->usable()) {
      BUILDER_TRY_ASSIGN(own_, Connection::open(config_, "deployra-builder-take", {}));
    }
    return {};
  }

  const RedisConfig config_;
  UnsafeSettings settings_;
  const Log log_;
  const std::shared_ptr<OwnLease> lease_ = std::make_shared<OwnLease>();
  ports::QueueListener* listener_ = nullptr;

  /// Held from when elements leave the queue or `jobs_` until the other one has them: nobody else
  /// may act on one that is nowhere. Taken before `mutex_`, not held when the listener is told.
  std::timed_mutex moves_;
  std::mutex mutex_;
  LocalJobs jobs_;
  std::optional<Error> refusal_;  ///< Redis refused the last pop.

  std::unique_ptr<Connection> own_;  ///< Of the thread that takes.
  bool polls_ = false;               ///< There is no BLMOVE.
  SharedConnection shared_{config_};
};

}  // namespace

std::unique_ptr<ports::JobQueue> make_unsafe_queue(RedisConfig config, UnsafeSettings settings,
                                                   const Log& log) {
  return std::make_unique<UnsafeQueue>(std::move(config), std::move(settings), log);
}

}  // namespace builder::adapters::redis
