#include "adapters/redis/leased/owner_name.hpp"

#include "adapters/redis/client/script_runner.hpp"
#include "domain/organization.hpp"

namespace builder::adapters::redis {

std::string owner_name(const domain::DeploymentRequest& request) {
  const auto organization = domain::organization_of(request);
  return organization ? sha1_hex(*organization).substr(0, 16) : std::string();  // take.lua
}

}  // namespace builder::adapters::redis
