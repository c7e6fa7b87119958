#include "adapters/ecr/lifecycle_policy.hpp"

#include "base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>

namespace builder::adapters::ecr {
namespace {

using Json = nlohmann::ordered_json;

Json policy(std::int64_t images) {
  // The form the original wrote, so that either service recognises the other's.
  return {
      {"rules",
       Json::array(
           {{{"rulePriority", 1},
             {"description", fmt::format("Keep only {} image{}", images, images == 1 ? "" : "s")},
             {"selection",
              {{"tagStatus", "any"}, {"countType", "imageCountMoreThan"}, {"countNumber", images}}},
             {"action", {{"type", "expire"}}}}})}};
}

/// The count of a policy's only rule; 0 when there is no such thing.
std::int64_t count_of(const nlohmann::json& text) {
  const auto* const count = [&]() -> const nlohmann::json* {
    if (!text.is_object() || !text.contains("rules") || !text["rules"].is_array() ||
        text["rules"].size() != 1) {
      return nullptr;
    }
    const nlohmann::json& rule = text["rules"][0];
    if (!rule.is_object() || !rule.contains("selection") || !rule["selection"].is_object() ||
        !rule["selection"].contains("countNumber")) {
      return nullptr;
    }
    return &rule["selection"]["countNumber"];
  }();
  return count != nullptr && count->is_number_integer() ? count->get<std::int64_t>() : 0;
}

}  // namespace

std::string lifecycle_policy(int images) {
  return policy(images).dump();
}

PolicyJudgement judge_policy(std::string_view text, int images) {
  const auto found = parse_json(text);
  const std::int64_t count = count_of(found);
  // A rule somebody changed by hand differs in its description or in another field. The priority
  // of a single rule means nothing, so it is not compared.
  auto expected = nlohmann::json::parse(policy(count).dump());
  if (count < 1) {
    return PolicyJudgement::operators;
  }
  if (found["rules"][0].contains("rulePriority")) {
    expected["rules"][0]["rulePriority"] = found["rules"][0]["rulePriority"];
  }
  if (found != expected) {
    return PolicyJudgement::operators;
  }
  return count == images ? PolicyJudgement::current : PolicyJudgement::outdated;
}

}  // namespace builder::adapters::ecr
