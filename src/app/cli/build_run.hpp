#pragma once

#include "app/cli/build_wanted.hpp"
#include "app/cli/command_line.hpp"
#include "app/config/config.hpp"

#include <stop_token>
#include <string>

/// What `build` and `replay` have in common: from what was understood to an image and its summary.
namespace builder::app::cli {

struct BuildSurroundings {
  EnvironmentLookup environment;  ///< Settings; of the engine, of docker's logins.
  std::stop_token stop;           ///< Ctrl+C.
};

/// Builds it, or explains it, and shows that. The exit code is the verb's.
Exit run_build(const BuildLine& line, BuildWanted wanted, const BuildSurroundings& around);

/// `--env` and `--env-file`.
void declare_variables(CLI::App& verb, BuildLine& line);

/// Options that name what becomes of the image, and how the build is shown. `name`: what it is
/// called unless somebody says.
void declare_result(CLI::App& verb, BuildLine& line, const std::string& name);

}  // namespace builder::app::cli
