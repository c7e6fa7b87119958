#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"
#include "ports/job_context.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace builder::pipeline {

/// The deployments this worker has taken and not yet ended, in the order they were taken. One
/// deployment of a service runs at a time; a newer one tells the older ones to stop and waits for
/// its turn. Thread-safe.
class RunningDeployments {
 public:
  /// Enters a deployment and supersedes the older ones of its service. Nothing when a deployment
  /// of this id is here already (the queue held it twice).
  std::shared_ptr<ports::JobCancellation> enter(const domain::DeploymentId& deployment,
                                                const domain::ServiceId& service);
  /// Waits until all older deployments of the service have left.
  void wait_for_turn(const domain::DeploymentId& deployment);
  void leave(const domain::DeploymentId& deployment);

  /// Tells a deployment to stop; false when it is not here.
  bool stop(const domain::DeploymentId& deployment, ports::StopReason reason);
  void stop_all(ports::StopReason reason);
  /// Supersedes what runs for `service`, unless it is the `newer` deployment itself.
  void supersede(const domain::ServiceId& service, const domain::DeploymentId& newer);

  [[nodiscard]] std::size_t count() const;
  /// Waits until fewer than `limit` deployments are here; false at the deadline or on stop.
  bool wait_for_fewer_than(std::size_t limit, SteadyTime deadline, const std::stop_token& stop);

 private:
  struct Entry {
    domain::DeploymentId deployment;
    domain::ServiceId service;
    // Shared with the job's thread, which may outlive the entry for a moment.
    std::shared_ptr<ports::JobCancellation> cancellation;
  };

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Entry> entries_;
};

}  // namespace builder::pipeline
