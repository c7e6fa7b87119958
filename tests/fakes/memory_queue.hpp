#pragma once

#include "domain/deployment_request.hpp"
#include "domain/queue_rules.hpp"
#include "fakes/fake_lease.hpp"
#include "ports/job_queue.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace builder::fakes {

/// The job queue in memory, with the port's every promise, for one worker: the rules, a list and a
/// lease. Thread-safe.
class MemoryQueue final : public ports::JobQueue {
 public:
  void push(std::string payload) {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(std::move(payload));
    changed_.notify_all();
  }

  /// Nothing is queued, built, waiting or undelivered.
  [[nodiscard]] bool idle() const {
    const std::scoped_lock lock(mutex_);
    return queue_.empty() && ledger_.owned().empty() && ledger_.waiting().empty() &&
           ledger_.outgoing().empty();
  }

  [[nodiscard]] std::vector<std::string> queued() const {
    const std::scoped_lock lock(mutex_);
    return {queue_.begin(), queue_.end()};
  }

  /// What is not queued. Only while nobody else calls.
  [[nodiscard]] const domain::JobLedger& ledger() const { return ledger_; }

  [[nodiscard]] ports::Receipt receipt(const domain::DeploymentId& id) const {
    return {id, "lease", lease_};
  }

  /// Another worker was lost with the end of this deployment undelivered.
  void leave_behind(const std::string& id, ports::Ending ending) {
    const std::scoped_lock lock(mutex_);
    ledger_.conclude(domain::DeploymentId(id), std::move(ending));
  }

  /// Ends of others that we have adopted and not settled.
  [[nodiscard]] std::size_t undelivered() const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(
        std::ranges::count_if(ledger_.outgoing(), [](const auto& one) { return one.second.ours; }));
  }

  /// False: the server is out of reach for so long that the lease may be another's.
  void hold_lease(bool holds) {
    const std::scoped_lock lock(mutex_);
    lease_->set(holds);
  }

  /// The next `times` calls that give a deployment back, finish, settle or cancel it fail.
  /// The next job that is given back meets a defect of ours.
  void break_next_requeue() { breaks_ = true; }

  void refuse_next(ErrorKind kind, int times) {
    const std::scoped_lock lock(mutex_);
    refusal_ = kind;
    refusals_ = times;
  }

  /// An old state came back: a job of ours is in the queue again, while our lease lives on.
  void forget(const std::string& id) {
    {
      const std::scoped_lock lock(mutex_);
      put_back(ledger_.requeue(domain::DeploymentId(id)));
    }
    listener_->must_stop(domain::DeploymentId(id), ports::StopReason::lost_lease);
  }

  /// What we have is another worker's from now on.
  void lose_lease() {
    std::vector<domain::DeploymentId> lost;
    {
      const std::scoped_lock lock(mutex_);
      lease_->set(false, true);
      lease_ = std::make_shared<FakeLease>();
      while (!ledger_.owned().empty()) {
        lost.push_back(ledger_.owned().begin()->first);
        ledger_.requeue(lost.back());
      }
    }
    for (const domain::DeploymentId& id : lost) {
      listener_->must_stop(id, ports::StopReason::lost_lease);
    }
  }

  void join(ports::QueueListener& listener) override { listener_ = &listener; }

  void leave() override {
    const std::scoped_lock lock(mutex_);
    while (!ledger_.owned().empty()) {
      put_back(ledger_.requeue(ledger_.owned().begin()->first));
    }
    for (const auto& [id, out] : ledger_.outgoing()) {
      ledger_.settle(id, ports::Delivery::later);
    }
  }

  Result<std::size_t> recover() override { return std::size_t{0}; }

  /// The elements are doubtful until they are vetted.
  void come_back_old() {
    const std::scoped_lock lock(mutex_);
    in_doubt_ = true;
  }

  Result<std::optional<std::vector<std::string>>> doubtful() override {
    const std::scoped_lock lock(mutex_);
    return in_doubt_ ? std::optional(std::vector<std::string>(queue_.begin(), queue_.end()))
                     : std::nullopt;
  }

  Result<std::size_t> vetted(const std::vector<domain::DeploymentId>& ended) override {
    const std::scoped_lock lock(mutex_);
    in_doubt_ = false;
    return std::erase_if(queue_, [&](const std::string& payload) {
      return std::ranges::find(ended, domain::parse_job(payload).deployment_id) != ended.end();
    });
  }

  Result<std::optional<ports::TakenJob>> take(std::chrono::milliseconds patience,
                                              const std::stop_token& stop) override {
    Calls calls;
    {
      std::unique_lock lock(mutex_);
      const SteadyTime until = std::chrono::steady_clock::now() + patience;
      for (;;) {
        if (!changed_.wait_until(lock, stop, until, [this] { return !queue_.empty(); }) ||
            stop.stop_requested()) {
          lock.unlock();
          calls.make(listener_);
          return stop.stop_requested() ? Result<std::optional<ports::TakenJob>>(
                                             failure(ErrorKind::cancelled, "stopped"))
                                       : std::nullopt;
        }
        if (auto job = take_first(calls)) {
          lock.unlock();
          calls.make(listener_);
          return job;
        }
        if (calls.any()) {
          lock.unlock();
          std::exchange(calls, {}).make(listener_);
          lock.lock();
        }
      }
    }
  }

  Result<std::vector<domain::DeploymentId>> look() override {
    Calls calls;
    std::vector<domain::DeploymentId> ids;
    {
      const std::scoped_lock lock(mutex_);
      std::vector<domain::QueuedJob> jobs;
      for (const std::string& payload : queue_) {
        if (auto job = domain::read_queued_job(payload)) {
          ids.push_back(job->id);
          jobs.push_back(*std::move(job));
        }
      }
      for (const domain::QueuedJob& job : ledger_.look(jobs, calls.changes)) {
        queue_.erase(std::ranges::find(queue_, job.element));
        ledger_.conclude(job.id, {ports::Verdict::superseded, {}});
        calls.changes.ended.push_back(job.id);
      }
    }
    calls.make(listener_);
    return ids;
  }

  Result<> record(const ports::Receipt& receipt, const domain::Checkpoint& checkpoint) override {
    const std::scoped_lock lock(mutex_);
    return owns(receipt) && ledger_.record(receipt.deployment, checkpoint) ? Result<>()
                                                                           : not_ours();
  }

  Result<std::string> recall(const ports::Receipt& receipt,
                             const ports::ServiceMemory& memory) override {
    const std::scoped_lock lock(mutex_);
    return owns(receipt) ? Result<std::string>(memories_[memory.key()]) : not_ours();
  }

  Result<> remember(const ports::Receipt& receipt, const ports::ServiceMemory& memory,
                    const std::string& text) override {
    const std::scoped_lock lock(mutex_);
    if (!owns(receipt)) {
      return not_ours();
    }
    memories_[memory.key()] = text;
    return {};
  }

  /// What deployments of a service left, to be changed while nobody has a job.
  std::string& left(const ports::ServiceMemory& memory) { return memories_[memory.key()]; }

  Result<> requeue(const ports::Receipt& receipt) override {
    if (breaks_.exchange(false)) {
      throw std::runtime_error("told to break");
    }
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    if (!owns(receipt)) {
      return not_ours();
    }
    put_back(ledger_.requeue(receipt.deployment));
    return {};
  }

  Result<ports::Ending> finish(const ports::Receipt& receipt,
                               const ports::StatusUpdate& update) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    const bool another_lease = ledger_.owns(receipt.deployment) && !owns(receipt);
    auto finished = another_lease ? std::nullopt : ledger_.finish(receipt.deployment, update);
    if (!finished) {
      return not_ours();
    }
    if (finished->next) {
      put_back({*std::move(finished->next)});
    }
    return std::move(finished->ending);
  }

  Result<> settle(const ports::Receipt& receipt, ports::Delivery delivery,
                  std::optional<ports::DeploymentStatus> /*posted*/) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    return ledger_.settle(receipt.deployment, delivery) ? Result<>() : not_ours();
  }

  Result<std::optional<ports::Undelivered>> adopt() override {
    const std::scoped_lock lock(mutex_);
    auto adopted = ledger_.adopt();
    if (!adopted) {
      return std::nullopt;
    }
    return ports::Undelivered{receipt(adopted->first), std::move(adopted->second)};
  }

  Result<ports::CancelAnswer> cancel(const domain::DeploymentId& deployment) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    const ports::CancelAnswer answer = ledger_.cancel(deployment);
    if (answer != ports::CancelAnswer::noted) {
      return answer;
    }
    const auto queued = std::ranges::find_if(queue_, [&](const std::string& payload) {
      return domain::parse_job(payload).deployment_id == deployment;
    });
    if (queued == queue_.end()) {
      return answer;
    }
    queue_.erase(queued);
    ledger_.conclude(deployment, {ports::Verdict::cancelled_by_user, {}});
    return ports::CancelAnswer::removed;
  }

  Result<std::size_t> length() override {
    const std::scoped_lock lock(mutex_);
    return queue_.size();
  }

  void activity_changed() override { ++activity_changes_; }

  /// What the worker says of itself.
  [[nodiscard]] ports::WorkerActivity activity() const { return listener_->activity(); }

  /// How often `activity_changed` was called.
  [[nodiscard]] int activity_changes() const { return activity_changes_; }

  [[nodiscard]] std::optional<ports::Pause> pause() const override { return std::nullopt; }

  [[nodiscard]] std::string guarantee() const override { return "A"; }

  [[nodiscard]] std::string warning() const override { return {}; }

 private:
  /// What the listener is told, once no lock is held.
  struct Calls {
    domain::JobLedger::Changes changes;
    int malformed = 0;

    [[nodiscard]] bool any() const {
      return !changes.superseded.empty() || !changes.ended.empty() || malformed > 0;
    }

    void make(ports::QueueListener* listener) const {
      if (listener == nullptr) {
        return;
      }
      for (const domain::DeploymentId& id : changes.superseded) {
        listener->must_stop(id, ports::StopReason::superseded);
      }
      for (int i = 0; i < malformed; ++i) {
        listener->malformed_element();
      }
      if (!changes.ended.empty()) {
        listener->outbox_filled();
      }
    }
  };

  static std::unexpected<Error> not_ours() { return failure(ErrorKind::conflict, "not ours"); }

  Result<> may_answer() {
    if (refusals_ == 0) {
      return {};
    }
    --refusals_;
    return failure(refusal_, "the queue refuses");
  }

  [[nodiscard]] bool owns(const ports::Receipt& receipt) const {
    return receipt.lease == lease_ && ledger_.owns(receipt.deployment);
  }

  std::optional<ports::TakenJob> take_first(Calls& calls) {
    auto job = domain::read_queued_job(std::move(queue_.front()));
    queue_.pop_front();
    if (!job) {
      ++calls.malformed;
      return std::nullopt;
    }
    const auto checkpoint = ledger_.take(*job, calls.changes);
    if (!checkpoint) {
      return std::nullopt;
    }
    return ports::TakenJob{.receipt = receipt(job->id),
                           .attempt = 1,
                           .payload = std::move(job->element),
                           .checkpoint = *checkpoint};
  }

  /// At the head, the first job first.
  void put_back(const std::vector<domain::QueuedJob>& jobs) {
    for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
      queue_.push_front(job->element);
    }
    changed_.notify_all();
  }

  std::atomic<bool> breaks_ = false;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  ports::QueueListener* listener_ = nullptr;
  std::shared_ptr<FakeLease> lease_ = std::make_shared<FakeLease>();
  std::deque<std::string> queue_;
  domain::JobLedger ledger_;
  bool in_doubt_ = false;
  std::map<std::string, std::string> memories_;
  std::atomic<int> activity_changes_ = 0;
  ErrorKind refusal_ = ErrorKind::denied;
  int refusals_ = 0;
};

}  // namespace builder::fakes
