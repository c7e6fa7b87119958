#pragma once

#include "base/result.hpp"
#include "base/stop.hpp"
#include "domain/build_event.hpp"
#include "domain/ending.hpp"
#include "domain/ids.hpp"
#include "ports/lease.hpp"

#include <string>

namespace builder::ports {

using domain::DeploymentStatus;
using domain::StatusUpdate;
using domain::to_string;

/// What the platform's answer to a status says about the deployment.
struct StatusAnswer {
  bool deployment_completed = false;  ///< `completedAt` is set: cancelled or ended before.
  bool service_deleted = false;       ///< `service.deletedAt` is set.
};

/// What a post heeds.
struct PostTerms {
  std::stop_token stop = {};
  /// Looked at once more when the request is about to go out: a process that slept since it decided
  /// to post may have lost its jobs. Null: nothing to look at.
  const Lease* lease = nullptr;
};

/// One call to the platform each; no retry in here. Thread-safe.
/// Errors: `not_found` (it does not know the deployment), `denied` (wrong API key), `invalid_input`
/// (this post was refused for what is in it), `internal` (it broke over this post, perhaps for what
/// is in it), `unavailable` (with `retry_after` when named; with `Effect::unreached` nobody takes
/// posts), `timed_out`, `conflict` (the lease did not hold; nothing was sent), `cancelled`.
class DeploymentReporter {
 public:
  virtual ~DeploymentReporter() = default;
  virtual Result<StatusAnswer> post_status(const domain::DeploymentId& deployment,
                                           const StatusUpdate& update, const PostTerms& terms) = 0;
  /// `text` is valid UTF-8, not empty, at most 60,000 bytes; lines are joined by '\n'.
  virtual Result<> post_log(const domain::DeploymentId& deployment, domain::LogType type,
                            const std::string& text, const PostTerms& terms) = 0;
};

}  // namespace builder::ports
