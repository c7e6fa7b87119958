#pragma once

#include "domain/build_event.hpp"

#include <chrono>
#include <string_view>

namespace builder::domain {

/// An engine's own bookkeeping, as BuildKit names it: `[internal] …`, or `[linux/arm64 internal] …`
/// where there are several platforms.
inline bool is_internal_step(std::string_view name) {
  const std::string_view place = name.substr(0, name.find(']'));
  return place == "[internal" || (place.starts_with('[') && place.ends_with(" internal"));
}

/// Whether the end of a step is for the customer: one of the engine's own is only if it took long
/// or failed.
inline bool is_shown(const StepFinished& step) {
  constexpr std::chrono::seconds k_long{1};
  return !is_internal_step(step.name) || !step.error.empty() || step.duration >= k_long;
}

}  // namespace builder::domain
