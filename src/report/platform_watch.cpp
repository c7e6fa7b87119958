#include "report/platform_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::report {

namespace {

using Clock = std::chrono::steady_clock;

/// A deployment that the platform does not know is tried at least so often.
constexpr std::chrono::seconds k_recent{60};
/// One may be the moment in which an outage begins or ends.
constexpr int k_enough_contradictions = 3;

/// What the answer says is true of every post, not of this one.
bool says_away(const Error& error) {
  return error.kind == ErrorKind::denied || error.effect == Effect::unreached;
}

}  // namespace

Result<ports::StatusAnswer> PlatformWatch::post_status(const domain::DeploymentId& deployment,
                                                       const ports::StatusUpdate& update,
                                                       const ports::PostTerms& terms) {
  return judge(deployment, reporter_.post_status(deployment, update, terms));
}

Result<> PlatformWatch::post_log(const domain::DeploymentId& deployment, domain::LogType type,
                                 const std::string& text, const ports::PostTerms& terms) {
  return judge(deployment, reporter_.post_log(deployment, type, text, terms));
}

template <class T>
Result<T> PlatformWatch::judge(const domain::DeploymentId& deployment, Result<T> answer) {
  auto state = state_.lock();
  if (answer) {
    state->is_away = false;
    state->unknown.erase(deployment);
    state->last_success = Clock::now();
  } else if (answer.error().kind == ErrorKind::not_found) {
    return std::unexpected(judge_unknown(*state, deployment, std::move(answer).error()));
  } else if (answer.error().kind != ErrorKind::cancelled && says_away(answer.error())) {
    state->is_away = true;
  }
  return answer;
}

Error PlatformWatch::judge_unknown(State& state, const domain::DeploymentId& deployment,
                                   Error error) const {
  const auto now = Clock::now();
  std::erase_if(state.unknown, [&](const auto& one) {
    return now - one.second.last > std::max<Clock::duration>(patience_, k_recent);
  });
  const auto [entry, is_new] = state.unknown.try_emplace(deployment, Unknown{now, now});
  if (is_new) {
    // Two are more likely an outage: what was seen before does not count.
    state.last_success = {};
    for (auto& [id, other] : state.unknown) {
      other.contradictions = 0;
    }
  }
  Unknown& unknown = entry->second;
  const auto lasted = now - unknown.since;
  if (state.last_success > unknown.last) {
    ++unknown.contradictions;
    unknown.is_proven = unknown.is_proven ||
                        (unknown.contradictions >= k_enough_contradictions && lasted >= patience_);
  }
  unknown.last = now;
  if (unknown.is_proven) {
    error.message += fmt::format(" for {} s, while other deployments are known",
                                 std::chrono::duration_cast<std::chrono::seconds>(lasted).count());
    return error;
  }
  error.kind = ErrorKind::unavailable;
  error.effect = Effect::unreached;
  error.message += "; its database may be away";
  return error;
}

Result<> PlatformWatch::probed(Result<> probe) {
  auto state = state_.lock();
  state->is_away = !probe.has_value();
  if (!probe) {
    return probe;
  }
  const std::size_t unknown = count_unknown(*state);
  if (unknown == 0 || state->last_success != SteadyTime()) {
    return {};
  }
  return failure(ErrorKind::unavailable,
                 fmt::format("the platform at API_URL does not know {} ({}): its database is away, "
                             "or the jobs in the queue are not its own",
                             unknown == 1 ? "a deployment" : fmt::format("{} deployments", unknown),
                             state->unknown.begin()->first.str()));
}

bool PlatformWatch::may_take() const {
  auto state = state_.lock();
  return !state->is_away && count_unknown(*state) < k_most_unknown;
}

std::size_t PlatformWatch::unknown() const {
  auto state = state_.lock();
  return std::min(count_unknown(*state), k_most_unknown);
}

std::size_t PlatformWatch::count_unknown(const State& state) {
  const auto now = Clock::now();
  return static_cast<std::size_t>(std::ranges::count_if(
      state.unknown, [&](const auto& one) { return now - one.second.last <= k_recent; }));
}

}  // namespace builder::report
