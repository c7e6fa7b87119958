#include "adapters/redis/leased/owner_name.hpp"

#include "adapters/redis/client/script_runner.hpp"
#include "domain/organization.hpp"

namespace builder::adapters::redis {

std::string owner_name(const domain::DeploymentRequest& request) {
  const auto owner = domain::turn_owner_of(request);
  return owner ? sha1_hex(*owner).substr(0, 16) : std::string();  // take.lua
}

}  // namespace builder::adapters::redis
