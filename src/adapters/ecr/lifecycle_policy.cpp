#include "adapters/ecr/lifecycle_policy.hpp"

#include "base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <utility>

namespace builder::adapters::ecr {
namespace {

using Json = nlohmann::ordered_json;

Json policy(std::int64_t images, bool tagged_only) {
  Json selection{{"tagStatus", tagged_only ? "tagged" : "any"}};
  if (tagged_only) {
    selection["tagPatternList"] = {"*"};
  }
  selection["countType"] = "imageCountMoreThan";
  selection["countNumber"] = images;
  // Without `tagged_only` the form the original wrote, so that either service recognises the
  // other's.
  return {{"rules", Json::array({{{"rulePriority", 1},
                                  {"description", fmt::format("Keep only {}{} image{}", images,
                                                              tagged_only ? " tagged" : "",
                                                              images == 1 ? "" : "s")},
                                  {"selection", std::move(selection)},
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

std::string lifecycle_policy(const Retention& kept) {
  return policy(kept.images, kept.tagged_only).dump();
}

PolicyJudgement judge_policy(std::string_view text, const Retention& kept) {
  const auto found = parse_json(text);
  const std::int64_t count = count_of(found);
  if (count < 1) {
    return PolicyJudgement::operators;
  }
  for (const bool tagged_only : {kept.tagged_only, !kept.tagged_only}) {
    // A rule somebody changed by hand differs in its description or in another field. The priority
    // of a single rule means nothing, so it is not compared.
    auto expected = nlohmann::json::parse(policy(count, tagged_only).dump());
    if (found["rules"][0].contains("rulePriority")) {
      expected["rules"][0]["rulePriority"] = found["rules"][0]["rulePriority"];
    }
    if (found == expected) {
      const bool is_current = tagged_only == kept.tagged_only && count == kept.images;
      return is_current ? PolicyJudgement::current : PolicyJudgement::outdated;
    }
  }
  return PolicyJudgement::operators;
}

}  // namespace builder::adapters::ecr
