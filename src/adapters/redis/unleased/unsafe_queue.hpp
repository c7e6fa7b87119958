#pragma once

#include "adapters/redis/client/redis_config.hpp"
#include "base/log.hpp"
#include "ports/job_queue.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace builder::adapters::redis {

struct UnsafeSettings {
  std::string journal;  ///< The file in which we note what we take (JobJournal).
  /// Of processes of this host that were lost; removed once their deployments have an end.
  std::vector<std::string> lost_journals;
  /// Called when no lost process's jobs are left.
  std::function<void()> recovered = [] {};
  /// How long what goes back to the queue is tried.
  std::chrono::milliseconds patience{30'000};
};

/// The queue of a Redis that refuses scripts (guarantee C): elements are popped, and everything
/// else is known to this process and its journal alone. What a process had when it was lost fails;
/// an element whose pop was not answered is lost. Workers share the list and nothing else.
std::unique_ptr<ports::JobQueue> make_unsafe_queue(RedisConfig config, UnsafeSettings settings,
                                                   const Log& log);

}  // namespace builder::adapters::redis
