#include "domain/ending.hpp"

namespace builder::domain {

std::string_view to_string(DeploymentStatus status) {
  switch (status) {
    case DeploymentStatus::building:
      return "BUILDING";
    case DeploymentStatus::builded:
      return "BUILDED";
    case DeploymentStatus::failed:
      return "FAILED";
    case DeploymentStatus::cancelled:
      return "CANCELLED";
  }
  return "FAILED";
}

DeploymentStatus status_of(const Ending& ending) {
  switch (ending.verdict) {
    case Verdict::cancelled_by_user:
    case Verdict::superseded:
      return DeploymentStatus::cancelled;
    case Verdict::attempts_used:
      return DeploymentStatus::failed;
    case Verdict::as_reported:
      break;
  }
  return ending.update.status;
}

}  // namespace builder::domain
