#pragma once

#include "domain/deployment_request.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace builder::domain::buildpacks {

/// Variables of the build, by name: one file each in the platform's `env` folder, read by
/// buildpacks as their environment.
struct PlatformEnvironment {
  std::map<std::string, std::string> variables;
  std::vector<std::string> warnings;  ///< Lines for the customer; they name keys, never values.
};

/// What every build gets, as the original service had it: `PORT` (the first container port, or
/// 3000), `BP_INCLUDE_FILES=*`, and `BP_NODE_VERSION` when `node_version` is not empty.
std::vector<EnvironmentVariable> default_environment(std::span<const PortMapping> ports,
                                                     const std::string& node_version);

/// Later ones win. Names that cannot be a file's or a variable's name, and values with a NUL, are
/// left out with a warning.
PlatformEnvironment merge_environment(std::span<const EnvironmentVariable> defaults,
                                      std::span<const EnvironmentVariable> project,
                                      std::span<const EnvironmentVariable> service);

}  // namespace builder::domain::buildpacks
