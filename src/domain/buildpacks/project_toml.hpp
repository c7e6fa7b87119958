#pragma once

#include "base/result.hpp"
#include "domain/deployment_request.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::buildpacks {

/// What the platform takes from a project.toml (schema 0.1 to 0.3, https://buildpacks.io).
struct ProjectDescriptor {
  std::vector<std::string> include;  ///< gitignore rules; not together with `exclude`.
  std::vector<std::string> exclude;
  std::vector<EnvironmentVariable> environment;
  std::string builder;                ///< Empty: not said.
  std::vector<std::string> warnings;  ///< Lines for the customer.
};

/// `invalid_input` with the customer's line for what is no TOML, has a wrong type, or asks for
/// buildpacks of its own (groups, inline scripts, URIs), which are not supported.
Result<ProjectDescriptor> read_project_toml(std::string_view content);

}  // namespace builder::domain::buildpacks
