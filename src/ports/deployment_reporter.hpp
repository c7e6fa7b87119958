#pragma once

#include "base/result.hpp"
#include "base/stop.hpp"
#include "domain/build_event.hpp"
#include "domain/ending.hpp"
#include "domain/ids.hpp"

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

/// One call to the platform each; no retry in here. Thread-safe.
/// Errors: `not_found` (it does not know the deployment), `denied` (wrong API key), `invalid_input`
/// (this post was refused for what is in it), `internal` (it broke over this post, perhaps for what
/// is in it), `unavailable` (with `retry_after` when named; with `Effect::unreached` nobody takes
/// posts), `timed_out`, `cancelled`.
class DeploymentReporter {
 public:
  virtual ~DeploymentReporter() = default;
  virtual Result<StatusAnswer> post_status(const domain::DeploymentId& deployment,
                                           const StatusUpdate& update,
                                           const std::stop_token& stop) = 0;
  /// `text` is valid UTF-8, not empty, at most 60,000 bytes; lines are joined by '\n'.
  virtual Result<> post_log(const domain::DeploymentId& deployment, domain::LogType type,
                            const std::string& text, const std::stop_token& stop) = 0;
};

}  // namespace builder::ports
