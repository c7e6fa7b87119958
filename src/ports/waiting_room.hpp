#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"
#include "domain/waiting.hpp"
#include "ports/lease.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace builder::ports {

/// What waits in the queue, for the one of its workers that tells those that wait. Nothing here
/// takes or moves a job. One thread.
/// Errors: `unavailable`, `timed_out`, `denied` (credentials, rights), `conflict` (the queue's name
/// holds something else), `cancelled`.
class WaitingRoom {
 public:
  virtual ~WaitingRoom() = default;

  /// Makes us the speaker if there is none, or extends that: it ends by itself when nothing is
  /// asked for a while, so a worker that dies does not stay it. What waits at the head of the
  /// queue and can be read; none: somebody else speaks. `took`: builds of ours that have ended
  /// since the last call that was answered.
  virtual Result<std::optional<domain::WaitingLine>> look(
      const std::vector<std::chrono::milliseconds>& took, const std::stop_token& stop) = 0;

  /// For the last moment before a post: holds for a few seconds when we speak and the deployment
  /// still waits; null otherwise.
  virtual Result<std::shared_ptr<const Lease>> still_waits(const domain::DeploymentId& deployment,
                                                           const std::stop_token& stop) = 0;
};

}  // namespace builder::ports
