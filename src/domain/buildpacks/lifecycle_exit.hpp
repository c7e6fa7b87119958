#pragma once

#include "base/result.hpp"
#include "domain/buildpacks/result.hpp"

#include <string>
#include <vector>

namespace builder::domain::buildpacks {

/// What a build of the lifecycle said before it ended, as far as its failure needs it.
struct BuildTrace {
  std::string phase;                     ///< ANALYZING, DETECTING, …; empty before the first.
  std::vector<Buildpack> taking_part;    ///< After detection.
  std::vector<Buildpack> failed_detect;  ///< Whose detection failed, rather than did not apply.
  std::string building;                  ///< The buildpack that was running last.
  /// `ERROR: ` lines, the last one always. Before the last, which is the lifecycle's, they may be
  /// what a customer's program printed when its buildpack had failed.
  std::vector<std::string> errors;
};

enum class Remedy {
  none,
  without_cache,  ///< Once more, ignoring what earlier builds left.
  other_api,      ///< The lifecycle does not know the platform API: once more with an older one.
  registry,       ///< The registry was the reason: its words decide whether to go on.
};

struct LifecycleFailure {
  Error error;
  Remedy remedy = Remedy::none;
  std::string last_word = {};  ///< The last of the errors.
};

/// Explains the exit code of a lifecycle (creator, or the phase that failed).
LifecycleFailure explain_exit(int code, const BuildTrace& trace);

}  // namespace builder::domain::buildpacks
