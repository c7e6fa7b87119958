#pragma once

#include "domain/build_event.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace builder::domain {

enum class DeploymentStatus { building, builded, failed, cancelled };

/// The platform's word: BUILDING, BUILDED, FAILED, CANCELLED.
std::string_view to_string(DeploymentStatus status);

struct StatusUpdate {
  DeploymentStatus status = DeploymentStatus::building;
  std::string error;  ///< FAILED: one line; the adapter cuts it to 191 characters.
  std::optional<Message> log;
  std::string image_uri;  ///< BUILDED only.
};

/// Who decided how a deployment ended.
enum class Verdict {
  as_reported,  ///< The build.
  cancelled_by_user,
  superseded,
  attempts_used,  ///< Every worker that had it was lost.
};

struct Ending {
  Verdict verdict = Verdict::as_reported;
  StatusUpdate update;  ///< Of `as_reported`; the other verdicts have none.
};

/// What the platform is told in the end.
DeploymentStatus status_of(const Ending& ending);

}  // namespace builder::domain
