#pragma once

#include "domain/deployment_request.hpp"

#include <optional>
#include <string>

namespace builder::domain {

/// Whose deployment it is, as far as a job says: the host and the account that its source is read
/// with, and the owner of the repository there. Equal texts, the same organization. Names, no
/// secret, but what a custom provider's user typed as address; not for people. nullopt: the
/// repository has no owner. `take.lua` reads the same.
std::optional<std::string> organization_of(const DeploymentRequest& request);

}  // namespace builder::domain
