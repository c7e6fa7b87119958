#pragma once

#include "adapters/redis/client/connection.hpp"
#include "base/log.hpp"
#include "ports/job_queue.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace builder::adapters::redis {

/// How long a cancel of a deployment that nobody has yet is remembered.
inline constexpr std::chrono::milliseconds k_cancel_memory = std::chrono::days(7);

struct QueueSettings {
  /// A worker that is silent for so long may lose its jobs to another one.
  std::chrono::milliseconds lease{60'000};
  /// Called with every new lease id before it is used, so that the next process can tell whose jobs
  /// those are.
  std::function<void(const std::string& lease_id)> remember_lease = [](const std::string&) {};
  /// Called when what `ended_leases` had is back in the queue.
  std::function<void()> recovered = [] {};
  /// Leases of processes of this host that have ended.
  std::vector<std::string> ended_leases;
  /// What people are told of this worker.
  ports::WorkerIdentity identity;
  /// Names the list of what a worker of version 1.0 had taken; empty: there was none.
  std::string old_worker_id;
};

/// The take protocol of docs/protocol.md: scripts/*.lua are its only writers. Keeps the lease alive
/// and retires silent workers on a connection and a thread of its own. Calls that must not be lost
/// are repeated through reconnects for half a minute.
std::unique_ptr<ports::JobQueue> make_job_queue(RedisConfig config, QueueSettings settings,
                                                const Log& log);

}  // namespace builder::adapters::redis
