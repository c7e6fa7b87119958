#include "pipeline/operator_faults.hpp"

#include <algorithm>
#include <chrono>

namespace builder::pipeline {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds k_first_pause{5};
constexpr std::chrono::seconds k_longest_pause{300};
/// A fault that comes so long after the last one is a new one.
constexpr std::chrono::minutes k_forgotten{10};
/// Deployments that were cancelled while they waited are never published.
constexpr std::size_t k_most_waiting = 10'000;

}  // namespace

bool OperatorFaults::met(const domain::DeploymentId& deployment, const Error& error) {
  const auto now = Clock::now();
  auto state = state_.lock();
  if (now > state->until + k_forgotten) {
    state->repeats = 0;
  }
  // Builds that run at once meet the same fault at once: that is no repetition.
  if (now >= state->until) {
    const int doublings = std::min(state->repeats++, 6);
    state->until =
        now + std::min<Clock::duration>(k_first_pause * (1 << doublings), k_longest_pause);
  }
  state->reason = error.message + " (look at " + error.setting + ")";
  ++state->count;
  if (state->waiting.size() >= k_most_waiting) {
    state->waiting.clear();
  }
  return state->waiting.insert(deployment).second;
}

void OperatorFaults::published(const domain::DeploymentId& deployment) {
  auto state = state_.lock();
  if (state->waiting.erase(deployment) > 0) {
    state->repeats = 0;
    state->until = {};
  }
}

SteadyTime OperatorFaults::until() const {
  return state_.lock()->until;
}

std::string OperatorFaults::reason() const {
  auto state = state_.lock();
  return Clock::now() < state->until ? state->reason : std::string();
}

int OperatorFaults::count() const {
  return state_.lock()->count;
}

}  // namespace builder::pipeline
