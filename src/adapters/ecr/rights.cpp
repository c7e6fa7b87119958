#include "adapters/ecr/rights.hpp"

#include "base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string_view>
#include <utility>

namespace builder::adapters::ecr {

namespace {

using nlohmann::json;

/// No service has such an id: it has a dot.
constexpr const char* k_never_made = "deployra/doctor.probe";
constexpr std::string_view k_ours = "deployra/";
constexpr int k_most_listed = 100;

bool says(const ApiError& error, std::string_view code) {
  return error.code == code;
}

}  // namespace

std::vector<TriedRight> try_rights(Api& api, const Retention& kept, const std::stop_token& stop,
                                   SteadyTime deadline) {
  const std::vector<std::pair<std::string_view, json>> calls{
      {"DescribeRepositories", {{"repositoryNames", {k_never_made}}}},
      {"GetLifecyclePolicy", {{"repositoryName", k_never_made}}},
      {"PutLifecyclePolicy",
       {{"repositoryName", k_never_made}, {"lifecyclePolicyText", lifecycle_policy(kept)}}}};
  std::vector<TriedRight> rights;
  for (const auto& [operation, input] : calls) {
    auto answer = api.call(operation, input, stop, deadline);
    const bool is_allowed = answer || says(answer.error(), "RepositoryNotFoundException");
    rights.push_back({fmt::format("ecr:{}", operation),
                      is_allowed ? Result<>() : std::unexpected(std::move(answer).error().error)});
    if (operation == "DescribeRepositories" && answer) {
      break;  // Somebody has made it: nothing is changed there.
    }
  }
  return rights;
}

Result<std::optional<SeenPolicy>> look_at_policy(Api& api, const Retention& kept,
                                                 const std::stop_token& stop, SteadyTime deadline) {
  auto listed = api.call("DescribeRepositories", {{"maxResults", k_most_listed}}, stop, deadline);
  if (!listed) {
    return std::unexpected(std::move(listed).error().error);
  }
  for (const json& repository : listed->value("repositories", json::array())) {
    SeenPolicy seen{
        .repository = repository.is_object() ? text_of(repository, "repositoryName") : "",
        .judgement = std::nullopt};
    if (!seen.repository.starts_with(k_ours)) {
      continue;
    }
    auto policy =
        api.call("GetLifecyclePolicy", {{"repositoryName", seen.repository}}, stop, deadline);
    if (policy) {
      seen.judgement = judge_policy(text_of(*policy, "lifecyclePolicyText"), kept);
    } else if (!says(policy.error(), "LifecyclePolicyNotFoundException")) {
      return std::unexpected(std::move(policy).error().error);
    }
    return seen;
  }
  return std::nullopt;
}

}  // namespace builder::adapters::ecr
