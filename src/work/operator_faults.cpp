#include "work/operator_faults.hpp"

#include "domain/operator_line.hpp"

#include <algorithm>

namespace builder::work {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds k_longest_pause{300};
/// A fault that comes so long after the last one is a new one.
constexpr std::chrono::minutes k_forgotten{10};
/// Deployments that were cancelled while they waited are never published.
constexpr std::size_t k_most_waiting = 10'000;
/// Services of which each met a fault of its own met the same one.
constexpr std::size_t k_several = 3;
/// A job that is held keeps a thread.
constexpr std::size_t k_most_held = 32;

}  // namespace

void OperatorFaults::Pause::lengthen(SteadyTime now, const Error& error,
                                     std::chrono::milliseconds first) {
  if (now > until + k_forgotten) {
    repeats = 0;
  }
  // Builds that run at once meet the same fault at once: that is no repetition.
  if (now >= until) {
    const int doublings = std::min(repeats++, 6);
    until = now + std::min<Clock::duration>(first * (1 << doublings), k_longest_pause);
  }
  reason = domain::operator_line(error);
}

OperatorFaults::Met OperatorFaults::met(const domain::DeploymentId& deployment,
                                        const domain::ServiceId& service, const Error& error) {
  const auto now = Clock::now();
  auto state = state_.lock();
  ++state->count;
  if (state->waiting.size() >= k_most_waiting) {
    state->waiting.clear();
  }
  Met result{.is_first = !state->waiting.contains(deployment)};
  if (error.of_one_service) {
    result.hold = hold(*state, service, error, now);
  }
  const bool is_of_all = result.hold.count() == 0;
  if (is_of_all) {
    state->all.lengthen(now, error, first_pause_);
  }
  state->waiting.insert_or_assign(deployment, is_of_all);
  return result;
}

/// Zero: too many are held already.
std::chrono::milliseconds OperatorFaults::hold(State& state, const domain::ServiceId& service,
                                               const Error& error, SteadyTime now) const {
  std::erase_if(state.of_service,
                [now](const auto& entry) { return now > entry.second.until + k_forgotten; });
  if (!state.of_service.contains(service) && state.of_service.size() >= k_most_held) {
    return {};
  }
  Pause& pause = state.of_service[service];
  pause.lengthen(now, error, first_pause_);
  if (state.in_a_row.size() < k_most_held) {
    state.in_a_row.insert(service);
  }
  if (state.in_a_row.size() >= k_several) {
    state.several.lengthen(now, error, first_pause_);
  }
  return std::chrono::ceil<std::chrono::milliseconds>(pause.until - now);
}

void OperatorFaults::published(const domain::DeploymentId& deployment,
                               const domain::ServiceId& service) {
  auto state = state_.lock();
  state->of_service.erase(service);
  state->in_a_row.clear();
  state->several = {};
  const auto waited = state->waiting.find(deployment);
  if (waited == state->waiting.end()) {
    return;
  }
  if (waited->second) {
    state->all = {};
  }
  state->waiting.erase(waited);
}

SteadyTime OperatorFaults::until() const {
  auto state = state_.lock();
  return std::max(state->all.until, state->several.until);
}

std::string OperatorFaults::reason() const {
  auto state = state_.lock();
  for (const Pause& pause : {state->all, state->several}) {
    if (Clock::now() < pause.until) {
      return pause.reason;
    }
  }
  return {};
}

int OperatorFaults::count() const {
  return state_.lock()->count;
}

}  // namespace builder::work
