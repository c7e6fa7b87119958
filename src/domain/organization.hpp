#pragma once

#include "domain/deployment_request.hpp"

#include <optional>
#include <string>

namespace builder::domain {

/// Whose deployment it is, as far as a job says: the kind of its host, the host and the account
/// that its source is read with, and the owner of the repository there. Equal texts, the same
/// organization. Names, no secret, but what a custom provider's user typed as address; not for
/// people. nullopt: the repository has no owner.
std::optional<std::string> organization_of(const DeploymentRequest& request);

/// Whose turn it is with a deployment (`QUEUE_ORDER=fair`); likewise. A GitHub account is the
/// platform's word, from its login: it is the owner, whatever repositories its jobs name. Of a
/// custom provider everything is its user's word, so it is the organization. nullopt: nobody says
/// whose it is. `take.lua` reads the same.
std::optional<std::string> turn_owner_of(const DeploymentRequest& request);

}  // namespace builder::domain
