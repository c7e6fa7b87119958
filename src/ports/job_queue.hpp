#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::ports {

/// A job we own: it is in our own list until `finish` or `give_back`.
struct TakenJob {
  std::string payload;  ///< As the platform wrote it; also the receipt.
};

enum class CancelMark { was_queued, not_queued };

/// The platform's queue. A job is at every moment in the queue or in the list of the worker that
/// owns it. All methods reconnect by themselves and are thread-safe; `take` and `peek` are called
/// by one thread. Errors: `unavailable`, `timed_out`, `denied` (credentials, rights), `cancelled`.
class JobQueue {
 public:
  virtual ~JobQueue() = default;
  /// Waits up to `patience` for the oldest job and moves it to our own list. When a job was already
  /// moved as stop arrived, it is given back before `cancelled` is returned.
  virtual Result<std::optional<TakenJob>> take(std::chrono::milliseconds patience,
                                               const std::stop_token& stop) = 0;
  /// The first `limit` payloads still queued, oldest first.
  virtual Result<std::vector<std::string>> peek(std::size_t limit) = 0;
  /// Forgets a job that has its final status.
  virtual Result<> finish(const TakenJob& job) = 0;
  /// Puts an unfinished job back to the head of the queue. Repeating it is harmless.
  virtual Result<> give_back(const TakenJob& job) = 0;
  /// Puts back, in their order, what an earlier run of this worker did not finish; how many.
  virtual Result<std::size_t> recover() = 0;
  virtual Result<std::size_t> length() = 0;

  /// Remembers for 7 days that a deployment was cancelled, and removes its job from the queue.
  virtual Result<CancelMark> mark_cancelled(const domain::DeploymentId& deployment) = 0;
  virtual Result<bool> is_cancelled(const domain::DeploymentId& deployment) = 0;
};

}  // namespace builder::ports
