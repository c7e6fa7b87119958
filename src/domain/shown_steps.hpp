#pragma once

#include "domain/build_event.hpp"

#include <chrono>
#include <string_view>

namespace builder::domain {

/// An engine's own bookkeeping, as BuildKit names it.
inline bool is_internal_step(std::string_view name) {
  return name.starts_with("[internal]");
}

/// Whether the end of a step is for the customer: one of the engine's own is only if it took long
/// or failed.
inline bool is_shown(const StepFinished& step) {
  constexpr std::chrono::seconds k_long{1};
  return !is_internal_step(step.name) || !step.error.empty() || step.duration >= k_long;
}

}  // namespace builder::domain
