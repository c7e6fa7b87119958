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

}  // namespace builder::adapters::ecr
