#pragma once

#include "base/log.hpp"
#include "base/stop.hpp"
#include "domain/ids.hpp"
#include "ports/retry_budget.hpp"

#include <atomic>
#include <memory>
#include <stop_token>

namespace builder::ports {

/// Why a deployment was told to stop; the first reason wins.
enum class StopReason : int {
  none,
  cancelled_by_user,  ///< A cancel message, or the platform says the deployment has ended.
  superseded,         ///< A newer job of the same service arrived.
  silent,             ///< The build has shown no sign of life for too long.
  shutdown,           ///< The worker ends; the job goes back to the queue.
  host_full,          ///< The host is short of disk; the job goes back to the queue.
  host_full_again,    ///< The same build a second time; it ends as failed.
  lost_lease,         ///< The job is another worker's by now; nothing more is said about it.
};

/// Owned by whoever runs a deployment; others request a stop through it. Thread-safe.
class JobCancellation {
 public:
  /// True when this call decided the reason.
  bool request_stop(StopReason reason) {
    StopReason expected = StopReason::none;
    const bool first = reason_.compare_exchange_strong(expected, reason);
    source_.request_stop();
    return first;
  }

  [[nodiscard]] StopReason reason() const { return reason_.load(); }

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  std::atomic<StopReason> reason_{StopReason::none};
  std::stop_source source_;
};

/// Goes down every call made for one deployment. Whatever blocks ends soon (well under a second)
/// after `stop` and not later than `deadline`; it then returns `cancelled` or `timed_out`.
struct JobContext {
  domain::DeploymentId deployment_id;
  std::stop_token stop;
  SteadyTime deadline = SteadyTime::max();
  /// Names the deployment in each line; silent where nobody is to be told.
  Log log = {};
  /// Shared by all copies.
  std::shared_ptr<RetryBudget> retries = std::make_shared<RetryBudget>();

  /// The same job with at most `limit` from now; never later than its own deadline.
  [[nodiscard]] JobContext within(std::chrono::milliseconds limit) const {
    JobContext inner = *this;
    inner.deadline = std::min(deadline, std::chrono::steady_clock::now() + limit);
    return inner;
  }
};

}  // namespace builder::ports
