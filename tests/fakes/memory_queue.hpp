#pragma once

#include "domain/deployment_request.hpp"
#include "fakes/fake_lease.hpp"
#include "ports/job_queue.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace builder::fakes {

/// The job queue in memory, with the port's every promise, for one worker. Thread-safe.
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
    return queue_.empty() && owned_.empty() && waiting_.empty() && out_.empty();
  }

  [[nodiscard]] std::vector<std::string> queued() const {
    const std::scoped_lock lock(mutex_);
    return {queue_.begin(), queue_.end()};
  }

  /// Another worker was lost with the end of this deployment undelivered.
  void leave_behind(const std::string& id, ports::Ending ending) {
    const std::scoped_lock lock(mutex_);
    conclude(id, std::move(ending), false);
  }

  /// Ends of others that we have adopted and not settled.
  [[nodiscard]] std::size_t undelivered() const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(
        std::ranges::count_if(out_, [](const auto& one) { return one.second.ours; }));
  }

  /// False: the server is out of reach for so long that the lease may be another's.
  void hold_lease(bool holds) {
    const std::scoped_lock lock(mutex_);
    lease_->set(holds);
  }

  /// The next `times` calls that give a deployment back, finish, settle or cancel it fail.
  void refuse_next(ErrorKind kind, int times) {
    const std::scoped_lock lock(mutex_);
    refusal_ = kind;
    refusals_ = times;
  }

  /// An old state came back: a job of ours is in the queue again, while our lease lives on.
  void forget(const std::string& id) {
    {
      const std::scoped_lock lock(mutex_);
      queue_.push_back(owned_.at(id).payload);
      disown(id);
      changed_.notify_all();
    }
    listener_->must_stop(domain::DeploymentId(id), ports::StopReason::lost_lease);
  }

  /// What we have is another worker's from now on.
  void lose_lease() {
    std::map<std::string, Owned> lost;
    {
      const std::scoped_lock lock(mutex_);
      lease_->set(false, true);
      lease_ = std::make_shared<FakeLease>();
      lost = std::exchange(owned_, {});
    }
    for (const auto& [id, owned] : lost) {
      listener_->must_stop(domain::DeploymentId(id), ports::StopReason::lost_lease);
    }
  }

  void join(ports::QueueListener& listener) override { listener_ = &listener; }

  void leave() override {
    const std::scoped_lock lock(mutex_);
    for (auto& [id, owned] : std::exchange(owned_, {})) {
      queue_.push_front(owned.payload);
    }
    for (auto& [id, out] : out_) {
      out.ours = false;
    }
  }

  Result<std::size_t> recover() override { return std::size_t{0}; }

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
        if (!calls.empty()) {
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
      std::map<std::string, std::string> newest;  // Of each service, in the queue so far.
      for (const std::string& payload : std::vector<std::string>(queue_.begin(), queue_.end())) {
        const domain::ParsedJob job = domain::parse_job(payload);
        if (!job.deployment_id) {
          continue;
        }
        ids.push_back(*job.deployment_id);
        if (building(job) != owned_.end() && !ended_.contains(ids.back().str()) &&
            !owned_.contains(ids.back().str()) && !cancelled_.contains(ids.back().str()) &&
            !newer_.contains(ids.back().str())) {
          supersede(ids.back().str(), job, payload, newest, calls);
        }
      }
    }
    calls.make(listener_);
    return ids;
  }

  Result<> record(const ports::Receipt& receipt, const domain::Stages& stages) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(must_own(receipt));
    stages_[receipt.deployment.str()] = stages;
    return {};
  }

  Result<std::string> times(const ports::Receipt& receipt,
                            const domain::ServiceId& service) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(must_own(receipt));
    return times_[service];
  }

  Result<> remember_times(const ports::Receipt& receipt, const domain::ServiceId& service,
                          const std::string& times) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(must_own(receipt));
    times_[service] = times;
    return {};
  }

  Result<> give_back(const ports::Receipt& receipt) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    const auto found = owned_.find(receipt.deployment.str());
    if (found == owned_.end() || receipt.lease != lease_) {
      return failure(ErrorKind::conflict, "not ours");
    }
    const Owned owned = found->second;
    --attempts_[receipt.deployment.str()];
    disown(receipt.deployment.str());
    queue_.push_front(owned.payload);
    changed_.notify_all();
    return {};
  }

  Result<ports::Ending> finish(const ports::Receipt& receipt,
                               const ports::StatusUpdate& update) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    const std::string& id = receipt.deployment.str();
    if (!owned_.contains(id) || receipt.lease != lease_) {
      const auto out = out_.find(id);
      return out != out_.end() && out->second.ours
                 ? Result<ports::Ending>(out->second.ending)
                 : Result<ports::Ending>(failure(ErrorKind::conflict, "not ours"));
    }
    ports::Ending ending{.verdict = ports::Verdict::as_reported, .update = update};
    if (cancelled_.contains(id)) {
      ending = {ports::Verdict::cancelled_by_user, {}};
    } else if (newer_.contains(id)) {
      ending = {ports::Verdict::superseded, {}};
    }
    disown(id);
    conclude(id, ending, true);
    return ending;
  }

  Result<> settle(const ports::Receipt& receipt, ports::Delivery delivery,
                  std::optional<ports::DeploymentStatus> /*posted*/) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    const auto out = out_.find(receipt.deployment.str());
    if (out == out_.end() || !out->second.ours) {
      return failure(ErrorKind::conflict, "not ours");
    }
    if (delivery == ports::Delivery::later) {
      out->second.ours = false;
    } else {
      out_.erase(out);
    }
    return {};
  }

  Result<std::optional<ports::Undelivered>> adopt() override {
    const std::scoped_lock lock(mutex_);
    for (auto& [id, out] : out_) {
      if (!out.ours) {
        out.ours = true;
        return ports::Undelivered{{domain::DeploymentId(id), "epoch", lease_}, out.ending};
      }
    }
    return std::nullopt;
  }

  Result<ports::CancelAnswer> cancel(const domain::DeploymentId& deployment) override {
    const std::scoped_lock lock(mutex_);
    BUILDER_TRY(may_answer());
    const std::string& id = deployment.str();
    const auto out = out_.find(id);
    if (out == out_.end() && ended_.contains(id)) {
      return ports::CancelAnswer::late;
    }
    cancelled_.insert(id);
    if (out != out_.end()) {
      if (out->second.ending.verdict == ports::Verdict::as_reported) {
        out->second.ending = {ports::Verdict::cancelled_by_user, {}};
      }
      return ports::CancelAnswer::reporting;
    }
    if (owned_.contains(id)) {
      return ports::CancelAnswer::owned;
    }
    const auto names = [&](const std::string& payload) {
      const auto named = domain::parse_job(payload).deployment_id;
      return named && *named == deployment;
    };
    const auto removed =
        std::erase_if(queue_, names) +
        std::erase_if(waiting_, [&](const auto& one) { return names(one.second); });
    if (removed > 0) {
      conclude(id, {ports::Verdict::cancelled_by_user, {}}, false);
      return ports::CancelAnswer::removed;
    }
    return ports::CancelAnswer::noted;
  }

  Result<std::size_t> length() override {
    const std::scoped_lock lock(mutex_);
    return queue_.size();
  }

  [[nodiscard]] std::string guarantee() const override { return "A"; }

  [[nodiscard]] std::string warning() const override { return {}; }

 private:
  struct Owned {
    std::string payload;
    std::string service;
  };

  struct Out {
    ports::Ending ending;
    bool ours = false;
  };

  /// What the listener is told, once no lock is held.
  struct Calls {
    std::vector<std::string> superseded;
    std::vector<std::string> cancelled;
    bool outbox = false;
    int malformed = 0;

    [[nodiscard]] bool empty() const {
      return superseded.empty() && cancelled.empty() && !outbox && malformed == 0;
    }

    void make(ports::QueueListener* listener) const {
      if (listener == nullptr) {
        return;
      }
      for (const std::string& id : superseded) {
        listener->must_stop(domain::DeploymentId(id), ports::StopReason::superseded);
      }
      for (int i = 0; i < malformed; ++i) {
        listener->malformed_element();
      }
      if (outbox) {
        listener->outbox_filled();
      }
    }
  };

  Result<> may_answer() {
    if (refusals_ == 0) {
      return {};
    }
    --refusals_;
    return failure(refusal_, "the queue refuses");
  }

  [[nodiscard]] Result<> must_own(const ports::Receipt& receipt) const {
    if (!owned_.contains(receipt.deployment.str()) || receipt.lease != lease_) {
      return failure(ErrorKind::conflict, "not ours");
    }
    return {};
  }

  std::optional<ports::TakenJob> take_first(Calls& calls) {
    const std::string payload = queue_.front();
    queue_.pop_front();
    const domain::ParsedJob job = domain::parse_job(payload);
    if (!job.deployment_id) {
      ++calls.malformed;
      return std::nullopt;
    }
    const std::string& id = job.deployment_id->str();
    if (ended_.contains(id) || owned_.contains(id)) {
      return std::nullopt;
    }
    if (cancelled_.contains(id) || newer_.contains(id)) {
      conclude(
          id,
          {cancelled_.contains(id) ? ports::Verdict::cancelled_by_user : ports::Verdict::superseded,
           {}},
          false);
      calls.outbox = true;
      return std::nullopt;
    }
    if (let_wait(id, job, payload, calls)) {
      return std::nullopt;
    }
    if (++attempts_[id] > 3) {
      conclude(id, {ports::Verdict::attempts_used, {}}, false);
      calls.outbox = true;
      return std::nullopt;
    }
    owned_[id] = {payload, job.service_id ? job.service_id->str() : ""};
    return ports::TakenJob{.receipt = {*job.deployment_id, "epoch", lease_},
                           .attempt = attempts_[id],
                           .payload = payload,
                           .stages = stages_[id]};
  }

  /// The build of the job's service.
  [[nodiscard]] std::map<std::string, Owned>::iterator building(const domain::ParsedJob& job) {
    return std::ranges::find_if(owned_, [&](const auto& one) {
      return job.service_id && one.second.service == job.service_id->str();
    });
  }

  bool let_wait(const std::string& id, const domain::ParsedJob& job, const std::string& payload,
                Calls& calls) {
    const auto running = building(job);
    if (running == owned_.end()) {
      return false;
    }
    replace(waiting_, id, job.service_id->str(), payload, calls);
    newer_.insert(running->first);
    calls.superseded.push_back(running->first);
    return true;
  }

  /// A queued job ends what came before it, and keeps its place.
  void supersede(const std::string& id, const domain::ParsedJob& job, const std::string& payload,
                 std::map<std::string, std::string>& newest, Calls& calls) {
    const std::string& service = job.service_id->str();
    if (const auto before = newest.find(service); before != newest.end()) {
      if (id_of(before->second) == id) {
        return;
      }
      remove(before->second);
    } else if (const auto waiting = waiting_.find(service); waiting != waiting_.end()) {
      if (id_of(waiting->second) == id) {
        return;
      }
      newest[service] = waiting->second;
      waiting_.erase(waiting);
    }
    replace(newest, id, service, payload, calls);
    newer_.insert(building(job)->first);
    calls.superseded.push_back(building(job)->first);
  }

  void replace(std::map<std::string, std::string>& newest, const std::string& id,
               const std::string& service, const std::string& payload, Calls& calls) {
    if (const auto before = newest.find(service);
        before != newest.end() && id_of(before->second) != id) {
      conclude(id_of(before->second), {ports::Verdict::superseded, {}}, false);
      calls.outbox = true;
    }
    newest[service] = payload;
  }

  static std::string id_of(const std::string& payload) {
    return domain::parse_job(payload).deployment_id->str();
  }

  void disown(const std::string& id) {
    const std::string service = owned_.at(id).service;
    owned_.erase(id);
    if (const auto next = waiting_.find(service); next != waiting_.end()) {
      queue_.push_front(next->second);
      waiting_.erase(next);
      changed_.notify_all();
    }
  }

  void conclude(const std::string& id, ports::Ending ending, bool ours) {
    ended_.insert(id);
    stages_.erase(id);
    out_[id] = {std::move(ending), ours};
  }

  void remove(const std::string& payload) {
    if (const auto found = std::ranges::find(queue_, payload); found != queue_.end()) {
      queue_.erase(found);
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  ports::QueueListener* listener_ = nullptr;
  std::shared_ptr<FakeLease> lease_ = std::make_shared<FakeLease>();
  std::deque<std::string> queue_;
  std::map<std::string, Owned> owned_;
  std::map<std::string, std::string> waiting_;  ///< By service.
  std::map<std::string, Out> out_;
  std::map<std::string, int> attempts_;
  std::map<std::string, domain::Stages> stages_;
  std::map<domain::ServiceId, std::string> times_;
  std::set<std::string> ended_;
  std::set<std::string> newer_;
  std::set<std::string> cancelled_;
  ErrorKind refusal_ = ErrorKind::denied;
  int refusals_ = 0;
};

}  // namespace builder::fakes
