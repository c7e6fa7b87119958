#pragma once

#include "base/stop.hpp"
#include "domain/ids.hpp"
#include "ports/job_context.hpp"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace builder::work {

/// The deployments this worker has to do with at the moment. The same one can be here twice for a
/// while: taken again after its lease was lost, when the first build has not ended yet.
/// Thread-safe.
class RunningDeployments {
 public:
  using Handle = std::shared_ptr<ports::JobCancellation>;

  /// Stopped from the start when its cancel came a moment too early.
  Handle enter(const domain::DeploymentId& deployment);
  /// Waits until all older entries of the same deployment have left.
  void wait_for_turn(const Handle& entry);
  void leave(const Handle& entry);

  /// Tells a deployment to stop; false when it is not here.
  bool stop(const domain::DeploymentId& deployment, ports::StopReason reason);
  void stop_all(ports::StopReason reason);
  /// The one that came last; nullopt while one is still ending, or when none is here.
  [[nodiscard]] std::optional<domain::DeploymentId> newest_if_none_ends() const;

  [[nodiscard]] std::size_t count() const;
  /// Waits until fewer than `limit` deployments are here; false at the deadline or on stop.
  bool wait_for_fewer_than(std::size_t limit, SteadyTime deadline, const std::stop_token& stop);

 private:
  struct Entry {
    domain::DeploymentId deployment;
    Handle cancellation;  // Shared with the job's thread.
  };

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Entry> entries_;
  std::deque<domain::DeploymentId> early_cancels_;  ///< The last ones of whom was not here.
};

}  // namespace builder::work
