#include "ports/deployment_reporter.hpp"

namespace builder::ports {

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

}  // namespace builder::ports
