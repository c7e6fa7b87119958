#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::ecr {

/// `deployra/<service>`: the name the platform deletes together with the service.
Result<std::string> repository_name(const domain::ServiceId& service);

/// ECR's rule: 2 to 256 characters, lower-case segments joined by `/`.
bool is_repository_name(std::string_view name);

/// ECR's API host for a region, or the endpoint the operator named.
std::string api_endpoint(std::string_view configured, std::string_view region);

}  // namespace builder::adapters::ecr
