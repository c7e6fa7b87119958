#pragma once

#include "base/log.hpp"
#include "base/log_throttle.hpp"
#include "base/sync.hpp"
#include "ports/job_queue.hpp"
#include "ports/metrics.hpp"
#include "work/isolation.hpp"
#include "work/job_runner.hpp"
#include "work/progress.hpp"
#include "work/running_deployments.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace builder::work {

struct WorkerSettings {
  /// False while a job could not be built anyway: it then stays in the queue. Absent: always true.
  std::function<bool()> can_build = {};
  /// True while the host cannot even bear what runs: the newest build is stopped and given back,
  /// one after another. Absent: never.
  std::function<bool()> must_shed = {};
  /// So many builds beyond `parallel_builds` are taken: others wait, and build nothing. Absent:
  /// none.
  std::function<std::size_t()> waiting = {};
  /// Told how long a deployment that was built, or failed, kept its slot; must return at once.
  /// Absent: nobody asks.
  std::function<void(std::chrono::steady_clock::duration)> built = {};
  std::size_t parallel_builds = 0;
  std::chrono::seconds drain_timeout{0};
  /// An outbox nobody speaks of is looked into this often: a worker that died left it.
  std::chrono::milliseconds outbox_interval{5'000};
  /// No jobs are taken for so long when the system has no thread for one.
  std::chrono::milliseconds no_thread_pause{2'000};
};

/// Takes jobs from the queue while a slot is free and runs each on a thread of its own; delivers
/// final statuses that nobody else delivers.
///
/// Threads: `run` is the dispatcher and is called once; `on_cancel` is called by the cancel feed's
/// thread; `drain` by the thread that handles signals; the listener's methods by the queue's.
class Worker final : private ports::QueueListener {
 public:
  Worker(ports::JobQueue& queue, JobRunner& runner, WorkerSettings settings,
         ports::Metrics& metrics, Log log);

  /// Joins the queue, gives back what an earlier process left, then takes jobs until `stop`. Jobs
  /// under way go on.
  void run(const std::stop_token& stop);

  /// After `run` returned: waits for the jobs under way until the drain timeout or `hurry`, then
  /// stops them, so that they go back to the queue; leaves the queue when none is left.
  /// `abort` is requested when waiting is over.
  void drain(const std::stop_token& hurry, std::stop_source& abort);

  /// A cancel message of the platform.
  void on_cancel(const domain::DeploymentId& deployment);

  /// No deployment is under way.
  [[nodiscard]] bool idle() const { return running_.count() == 0; }

  /// Not empty: why no jobs are taken at the moment.
  [[nodiscard]] std::string paused_because() const;
  /// What keeps jobs from being taken, and does not pass by itself: a key of the queue that holds
  /// something else. Empty: nothing. Any thread.
  [[nodiscard]] std::string take_problem() const;

 private:
  class SlotObserver;

  struct Slot {
    std::jthread thread;
    std::atomic<bool> done = false;
  };

  void must_stop(const domain::DeploymentId& deployment, ports::StopReason reason) override;
  void outbox_filled() override;
  void malformed_element() override;
  void given_up(const domain::DeploymentId& deployment) override;
  [[nodiscard]] ports::WorkerActivity activity() const override;

  void recover(const std::stop_token& stop);
  [[nodiscard]] std::size_t slots() const;
  void shed_newest();
  /// False: it is not known yet which jobs are old.
  [[nodiscard]] bool vet(const std::stop_token& stop);
  void not_taken(const Error& error);
  void take_one(const std::stop_token& stop);
  void look();
  void handle(ports::TakenJob job, const std::stop_token& stop);
  EndedRun run_job(const ports::TakenJob& job, ports::JobCancellation& cancellation,
                   RunObserver& observer);
  /// In its slot, when its turn has come; may throw.
  void run_in_turn(const ports::TakenJob& job, const RunningDeployments::Handle& cancellation,
                   Isolation::Pass& pass, Progress& progress);
  static Isolation::Kind kind_of(const ports::TakenJob& job);
  void settle(const ports::TakenJob& job, ports::StopReason reason, const EndedRun& ended);
  /// False when the queue cannot be told now.
  bool record_cancel(const domain::DeploymentId& deployment);
  void record_old_cancels();
  void deliver_for_others(const std::stop_token& stop);
  void deliver(const ports::Undelivered& undelivered, const std::stop_token& stop);
  /// False when the system has no thread for it; jobs are then taken again after a pause.
  [[nodiscard]] bool run_in_slot(std::function<void()> body);
  void pause_after(Outcome outcome);
  void pause(std::chrono::milliseconds length, std::string reason);
  [[nodiscard]] SteadyTime paused_until() const;
  void reap_slots();

  ports::JobQueue& queue_;
  JobRunner& runner_;
  const WorkerSettings settings_;
  ports::Metrics& metrics_;
  const Log log_;
  RunningDeployments running_;
  std::atomic<std::size_t> resting_ = 0;  ///< Of those that run: they take up no slot.
  RunningDeployments delivering_;
  Isolation isolation_;
  const SteadyTime started_ = std::chrono::steady_clock::now();
  /// Of `running_`. Shared with the slots' threads.
  mutable Sync<std::vector<std::shared_ptr<Progress>>> progress_;

  std::mutex slots_mutex_;
  std::list<Slot> slots_;
  LogThrottle thread_trouble_;                             ///< With the slots' mutex.
  std::map<domain::DeploymentId, SteadyTime> first_seen_;  ///< Dispatcher only.
  std::set<domain::DeploymentId> shed_;                    ///< Dispatcher only.
  SteadyTime next_shed_{};                                 ///< Dispatcher only.
  std::optional<SteadyTime> vet_until_;                    ///< Dispatcher only.
  mutable Sync<std::string> take_problem_;
  LogThrottle take_trouble_;  ///< Dispatcher only.
  mutable std::mutex pause_mutex_;
  SteadyTime paused_until_{};
  std::string pause_reason_;
  std::mutex outbox_mutex_;  // Guards the next three.
  std::condition_variable_any outbox_changed_;
  bool outbox_filled_ = false;
  std::set<domain::DeploymentId> unrecorded_cancels_;
  /// Delivers what others left and records cancels; from `run` to the end of `drain`.
  std::jthread outbox_relay_;
};

}  // namespace builder::work
