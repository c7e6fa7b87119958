#pragma once

#include "adapters/ecr/api.hpp"
#include "adapters/ecr/lifecycle_policy.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::adapters::ecr {

/// A right of the worker's identity, as IAM calls it.
struct TriedRight {
  std::string name;  ///< "ecr:DescribeRepositories".
  Result<> allowed;
};

/// Those of ECR's API that can be tried without an effect: on a repository that is never made.
std::vector<TriedRight> try_rights(Api& api, const Retention& kept, const std::stop_token& stop,
                                   SteadyTime deadline);

/// What the lifecycle policy of a repository of ours says.
struct SeenPolicy {
  std::string repository;
  std::optional<PolicyJudgement> judgement;  ///< nullopt: it has none.
};

/// Of the first repository of ours that ECR lists; nullopt: there is none yet.
Result<std::optional<SeenPolicy>> look_at_policy(Api& api, const Retention& kept,
                                                 const std::stop_token& stop, SteadyTime deadline);

}  // namespace builder::adapters::ecr
