#pragma once

#include "domain/deployment_request.hpp"

#include <string>

namespace builder::adapters::redis {

/// The owner of a job as `turn` and `whose` name it: 16 digits that show nobody's name or address.
/// Empty: the job names nobody.
std::string owner_name(const domain::DeploymentRequest& request);

}  // namespace builder::adapters::redis
