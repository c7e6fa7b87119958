#pragma once

#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "ports/source_tree.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// A step of a build that succeeded.
struct RanStep {
  std::string name;  ///< The daemon's: `[build 3/5] RUN npm ci`.
  bool cached = false;
  std::chrono::milliseconds duration{0};
};

/// What a build shows of its cache.
struct CacheUse {
  std::vector<RanStep> steps;
  /// The files of the context that are not as they were at the last build of the service by this
  /// engine. Empty when nobody knows.
  std::vector<std::string> changed;
};

/// A shorter step is not worth a line.
inline constexpr std::chrono::seconds k_worth_telling{5};

/// Why the dearest step that installs dependencies ran again although none of the files that it
/// reads has changed, and how the Dockerfile keeps it: one line for the customer. Only when all of
/// it is sure: a COPY or ADD before it was the first step to run, files that it copies have
/// changed, and what the step needs is known and has not. Of `context`, a file that decides is
/// looked at.
std::optional<std::string> avoidable_rebuild(const Dockerfile& dockerfile, const CacheUse& use,
                                             const ports::SourceTree& context);

}  // namespace builder::adapters::buildkit
