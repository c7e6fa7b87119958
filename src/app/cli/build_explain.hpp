#pragma once

#include "adapters/buildkit/diagnosis/build_policy.hpp"
#include "app/cli/replayed.hpp"
#include "app/cli/terminal.hpp"
#include "build/local_build.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace builder::app::cli {

/// Files, and the bytes in them.
struct Amount {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// What one line of the ignore file keeps out of the build.
struct LeftOut {
  std::size_t line = 0;  ///< Counted from 1.
  std::string rule;
  Amount amount;
};

/// Something that the Dockerfile names, and where.
struct NamedAt {
  std::size_t line = 0;
  std::string what;
};

/// What the operator's policy says of something that the build would be made of.
struct PolicyRow {
  std::size_t line = 0;  ///< 0: the Dockerfile does not name it.
  std::string what;
  std::string rule;     ///< That decided; empty: none had to.
  std::string verdict;  ///< For a person.
  bool refused = false;
};

/// What a build would be made of. Nothing is run to know it, and no engine is asked.
struct BuildExplanation {
  std::string dockerfile;         ///< Empty: with buildpacks.
  std::string builder;            ///< Of buildpacks.
  std::string ignore_file;        ///< Empty: there is none; the platform's default one is in force.
  Amount context;                 ///< What the build may ask for.
  std::vector<LeftOut> left_out;  ///< By line; what no line leaves out is not in it.
  std::vector<NamedAt> images;    ///< From which it starts or copies, without its own stages.
  std::vector<NamedAt> caches;    ///< `RUN --mount=type=cache`.
  std::vector<domain::knobs::ShownKnob> knobs;  ///< What was decided for it, and where.
  std::string frontend;                         ///< Of a `# syntax=` line; empty: the engine's own.
  bool no_cache = false;  ///< Every step runs. Otherwise only a build can tell which ones do.
  std::optional<std::vector<PolicyRow>> policy = {};  ///< nullopt: there is none.
  std::optional<Replayed> replay;
};

/// The rules that the build would have to keep.
struct PolicyOfBuild {
  const adapters::policy::Policy* policy = nullptr;  ///< Null: there is none.
  const adapters::buildkit::FrontendRules& frontends;
  adapters::buildkit::GivenArguments given;  ///< Values of ARGs.
};

/// `source` is the tree before anything was laid over it.
Result<BuildExplanation> explain(const build::LocalPlan& planned, const ports::SourceTree& source,
                                 const PolicyOfBuild& policy);

/// For a person, a row each, with a line end.
std::string explanation_text(const Terminal& terminal, const BuildExplanation& explanation,
                             const std::vector<std::pair<std::string, std::string>>& facts);

/// The same for programs; docs/cli.md lists the fields.
std::string explanation_json(const BuildExplanation& explanation,
                             const std::vector<std::pair<std::string, std::string>>& facts);

}  // namespace builder::app::cli
