#pragma once

#include <string>
#include <string_view>

namespace builder::adapters::ecr {

/// The policy of a repository of ours: keep the newest `images`, whatever their tags.
std::string lifecycle_policy(int images);

enum class PolicyJudgement {
  current,    ///< Ours, and it says what is wanted.
  outdated,   ///< One this service or its predecessor wrote, with another count: replace it.
  operators,  ///< Anything else: somebody's decision, never touched.
};

/// Compares by structure, not by text: ECR is free to write the JSON in its own way.
PolicyJudgement judge_policy(std::string_view text, int images);

}  // namespace builder::adapters::ecr
