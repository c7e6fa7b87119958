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

/// The engine's own steps are told of when they take this long, or fail.
inline constexpr std::chrono::seconds k_long_step{1};

/// Whether the end of a step is for the customer: one of the engine's own is only if it took long
/// or failed.
inline bool is_shown(const StepFinished& step) {
  return !is_internal_step(step.name) || !step.error.empty() || step.duration >= k_long_step;
}

}  // namespace builder::domain
