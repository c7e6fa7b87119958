#pragma once

#include "adapters/redis/client/connection.hpp"
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/job_queue.hpp"
#include "adapters/redis/leased/renewed_lease.hpp"
#include "adapters/redis/leased/server_rights.hpp"
#include "base/log.hpp"
#include "base/log_throttle.hpp"
#include "ports/job_queue.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace builder::adapters::redis {

/// This process as one of the queue's workers: its lease id and lease, kept alive by a thread with
/// a connection of its own, which also retires workers that fell silent. When the lease was taken
/// away, whoever acts under it is told to stop and a new lease id begins.
class Membership {
 public:
  Membership(RedisConfig config, const QueueSettings& settings, Log log);
  ~Membership();
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  void join(ports::QueueListener& listener);
  /// Ends the thread and, in Redis, the membership.
  void leave();

  [[nodiscard]] bool joined() const { return thread_.joinable(); }

  /// The current lease once it holds and is not refused; nothing at the deadline or on stop.
  std::shared_ptr<const RenewedLease> lease(SteadyTime deadline, const std::stop_token& stop);
  /// Something said that the lease is gone, or there is news for people: beat now.
  void hurry();
  /// Redis gave what it had given before: look now whether it lost what it was told.
  void old_state_seen();
  /// Redis refused a command that it had allowed: look now what it still allows.
  void rights_changed();

  /// Held from before a script gives us something or takes it back until `hold` or `release` has
  /// said the same: meanwhile Redis and `held` may differ. On stop it may come without the lock.
  [[nodiscard]] std::unique_lock<std::timed_mutex> handover(const std::stop_token& stop = {});

  /// What runs or is reported under the current lease.
  void hold(const std::string& lease_id, const domain::DeploymentId& deployment);
  void release(const std::string& lease_id, const domain::DeploymentId& deployment);
  [[nodiscard]] std::set<std::string> held(const std::string& lease_id) const;
  /// Tells the listener what a script said must stop: id, reason, id, reason …
  void tell(const Reply& marks);

  [[nodiscard]] ports::QueueListener& listener() { return *listener_; }

  [[nodiscard]] Level level() const;

  /// What threatens the jobs on this server; empty: nothing.
  [[nodiscard]] std::string warning() const;

  /// What a take said of a pause: an entry, or nothing when there is none. It counts more than what
  /// a beat under way at that time says later.
  void set_pause(const std::string& entry);
  [[nodiscard]] std::optional<ports::Pause> pause() const;

  /// Why there is no lease, for the operator.
  [[nodiscard]] Error problem() const;

 private:
  void run(const std::stop_token& stop);
  Result<> beat(const std::stop_token& stop);
  Result<> probe(const std::stop_token& stop);
  Result<> say_what_runs(const std::stop_token& stop);
  Result<> return_strays(const std::string& lease_id, const Reply& ids,
                         const std::stop_token& stop);
  void watch_clock(std::chrono::nanoseconds beat_started, std::chrono::milliseconds redis_time);
  void look_at_eviction(const std::stop_token& stop);
  void look_at_restart(const std::stop_token& stop);
  void lose(const std::shared_ptr<RenewedLease>& lease);
  Result<> retire_silent(const std::stop_token& stop);

  const RedisConfig config_;
  const QueueSettings& settings_;
  const Log log_;
  const Script beat_;
  const Script requeue_;
  const Script reap_;
  const Script running_;
  const Script settle_;
  ports::QueueListener* listener_ = nullptr;
  std::atomic<Level> level_ = Level::unknown;  ///< As far as rights were found; never `refused`.
  std::atomic<bool> must_probe_ = true;
  std::atomic<bool> old_state_seen_ = false;

  std::timed_mutex handover_;  ///< Taken before `mutex_`.
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::shared_ptr<RenewedLease> lease_;  ///< Shared with every receipt given out under it.
  std::set<std::pair<std::string, std::string>> held_;  ///< Lease id and deployment.
  std::set<std::string> unknown_there_;                 ///< Deployments of ours that Redis lost.
  Error problem_;
  std::string warning_;
  std::string pause_;         ///< The entry, as it was read.
  unsigned told_pauses_ = 0;  ///< How often a take told of it.
  bool refused_ = false;      ///< Redis refused the last beat, or a right that jobs need.
  bool hurry_ = false;

  std::unique_ptr<Connection> connection_;  ///< Of the thread.
  LogThrottle trouble_;                     ///< Of the thread.
  bool ever_beat_ = false;                  ///< Of the thread.
  ports::WorkerActivity told_;              ///< Of the thread: what Redis was told last.
  int silent_beats_ = 0;                    ///< Of the thread: since then.
  SteadyTime next_eviction_look_{};
  std::string forgetful_run_;  ///< The start of Redis that was told to have lost writes.
  std::optional<std::chrono::nanoseconds> last_started_;  ///< When the last beat was sent …
  std::chrono::milliseconds redis_time_{0};               ///< … and what time it was there.
  SteadyTime retire_from_{};
  std::jthread thread_;
};

}  // namespace builder::adapters::redis
