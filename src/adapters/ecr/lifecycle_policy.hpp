#pragma once

#include <string>
#include <string_view>

namespace builder::adapters::ecr {

/// What a repository of ours keeps.
struct Retention {
  int images = 0;  ///< The newest.
  /// Only what has a tag counts as an image. Provenance and signatures lie beside images without
  /// one; ECR removes them itself, within a day of their image.
  bool tagged_only = false;
};

/// The policy of a repository of ours.
std::string lifecycle_policy(const Retention& kept);

enum class PolicyJudgement {
  current,    ///< Ours, and it says what is wanted.
  outdated,   ///< One this service or its predecessor wrote, for something else: replace it.
  operators,  ///< Anything else: somebody's decision, never touched.
};

/// Compares by structure, not by text: ECR is free to write the JSON in its own way.
PolicyJudgement judge_policy(std::string_view text, const Retention& kept);

}  // namespace builder::adapters::ecr
