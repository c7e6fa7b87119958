#pragma once

#include "app/config/config.hpp"
#include "app/host/work_dir.hpp"
#include "base/log.hpp"
#include "ports/cancel_feed.hpp"
#include "ports/job_queue.hpp"
#include "ports/queue_admin.hpp"
#include "ports/waiting_room.hpp"

#include <cstddef>
#include <memory>

namespace builder::app {

/// The queue at Redis and its cancel messages, of a process that has `work` for its notes. Needs
/// the settings of `Concern::queue`. The arguments outlive it; members are made in this order.
struct QueueParts {
  QueueParts(const Config& config, WorkDir& work, const Log& log);
  QueueParts(const QueueParts&) = delete;
  QueueParts& operator=(const QueueParts&) = delete;

  /// How many jobs wait; an error also when cancel messages are not heard.
  Result<std::size_t> check();

  std::unique_ptr<ports::JobQueue> queue;
  std::unique_ptr<ports::CancelFeed> cancels;
  std::unique_ptr<ports::WaitingRoom> waiting_room;  ///< Null: nobody is told that they wait.
};

/// This machine's, as a worker says it of itself.
std::string host_name();

/// The queue as people see it and change it: neither a worker's membership nor WORK_DIR. Needs the
/// settings of `Concern::queue`.
std::unique_ptr<ports::QueueAdmin> make_queue_admin(const Config& config);

}  // namespace builder::app
