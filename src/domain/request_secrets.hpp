#pragma once

#include "base/secret_store.hpp"
#include "domain/deployment_request.hpp"

#include <vector>

namespace builder::domain {

/// What of a request must never be shown: the git credentials (also joined as git and HTTP send
/// them), and the variables that are secrets by their name (TOKEN, PASSWORD, KEY, …) or hold a URL
/// with a password. Other variables are configuration the customer wants to read in their log.
std::vector<NamedSecret> secrets_of(const DeploymentRequest& request);

}  // namespace builder::domain
