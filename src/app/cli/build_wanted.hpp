#pragma once

#include "app/cli/build_output.hpp"
#include "app/cli/build_source.hpp"
#include "app/cli/replayed.hpp"
#include "app/compose/engine_choice.hpp"
#include "app/config/config.hpp"
#include "base/result.hpp"
#include "build/local_build.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace builder::app::cli {

/// What was typed behind `build`.
struct BuildLine {
  std::string source = ".";
  std::vector<std::string> tags;
  std::string dockerfile;
  std::string target;
  std::string platform;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<std::string> environment_files;
  std::string output;
  std::vector<std::string> push;
  std::string builder;
  std::string progress = "auto";
  bool no_cache = false;
  bool quiet = false;
  bool json = false;
  bool explain = false;
};

/// The same, understood and checked.
struct BuildWanted {
  std::variant<std::string, GitAddress> source;  ///< A folder's whole path, or a repository.
  build::LocalBuild build;
  std::string progress;  ///< One of `k_progress`.
  std::vector<std::string> warnings;
  std::optional<Replayed> replay;  ///< What it repeats; none: it is a build of its own.
  std::unique_ptr<Output> output;  ///< What `build.target` writes to; null: no archive.

  [[nodiscard]] const GitAddress* git() const { return std::get_if<GitAddress>(&source); }

  /// `name:tag` of each, in the order in which they were given.
  [[nodiscard]] std::vector<std::string> images() const;
};

/// The error is a sentence for whoever typed the line. Opens what is written to, nothing else.
Result<BuildWanted> understood(const BuildLine& line, const EnvironmentLookup& environment);

/// The settings that a build by hand has: of the environment alone, since a `.env` in the folder
/// that is built is its owner's and no configuration. Whoever starts it trusts the source as much
/// as their own shell, so what keeps customers apart is off unless it is asked for. What is
/// replayed is a customer's: there it is on, and the settings that an image depends on are those of
/// then.
LoadedConfig build_settings(const BuildLine& line, const BuildWanted& wanted,
                            const EngineChoice& engine, const EnvironmentLookup& environment);

}  // namespace builder::app::cli
