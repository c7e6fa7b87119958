#include "work/waiting_announcer.hpp"

#include <algorithm>
#include <utility>

namespace builder::work {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// While the queue does not answer; it keeps no more of all workers together.
constexpr std::size_t k_most_took = 50;
constexpr BackoffPolicy k_backoff{.base = milliseconds(10'000), .cap = milliseconds(120'000)};

}  // namespace

WaitingAnnouncer::WaitingAnnouncer(ports::WaitingRoom& room, ports::DeploymentReporter& reporter,
                                   AnnouncerSettings settings, ports::Metrics& metrics, Log log)
    : room_(room),
      reporter_(reporter),
      settings_(std::move(settings)),
      metrics_(metrics),
      log_(std::move(log)) {
}

void WaitingAnnouncer::built(Clock::duration took) {
  auto waiting = took_.lock();
  if (waiting->size() < k_most_took) {
    waiting->push_back(std::chrono::duration_cast<milliseconds>(took));
  }
}

void WaitingAnnouncer::run(const std::stop_token& stop) {
  while (sleep_for(round(stop), stop)) {
  }
}

milliseconds WaitingAnnouncer::round(const std::stop_token& stop) {
  if (!settings_.may_post()) {
    return settings_.interval;  // Whoever reaches the platform speaks meanwhile.
  }
  const std::vector<milliseconds> took = *took_.lock();
  const auto line = room_.look(took, stop);
  if (!line) {
    return trouble(line.error());
  }
  {
    auto waiting = took_.lock();
    waiting->erase(waiting->begin(), waiting->begin() + static_cast<std::ptrdiff_t>(took.size()));
  }
  if (!*line) {
    notices_.forget();
    return settings_.interval;
  }
  for (const auto& [deployment, notice] : notices_.due(**line, Clock::now())) {
    if (stop.stop_requested() || !settings_.may_post()) {
      return settings_.interval;
    }
    if (const auto told = announce(deployment, notice, stop); !told) {
      return trouble(told.error());
    }
  }
  troubles_ = 0;
  throttle_.over();
  return settings_.interval;
}

Result<> WaitingAnnouncer::announce(const domain::DeploymentId& deployment,
                                    const domain::WaitingNotice& notice,
                                    const std::stop_token& stop) {
  // It may have been taken since the look: nobody waits whose log says that it is fetched.
  BUILDER_TRY_ASSIGN(const auto lease, room_.still_waits(deployment, stop));
  if (!lease) {
    return {};
  }
  const auto answer =
      reporter_.post_log(deployment, domain::LogType::info, domain::in_words(notice),
                         {.stop = stop, .lease = lease.get()});
  metrics_.api_post("waiting", answer ? "ok" : to_string(answer.error().kind));
  // What may have arrived is not said twice.
  if (answer || answer.error().kind == ErrorKind::timed_out) {
    notices_.said(deployment, notice, Clock::now());
  }
  if (answer) {
    return {};
  }
  switch (answer.error().kind) {
    case ErrorKind::not_found:
    case ErrorKind::invalid_input:
    case ErrorKind::internal:
      notices_.leave_alone(deployment);
      return {};
    case ErrorKind::conflict:
      return {};  // Too late for this line.
    default:
      return answer;
  }
}

milliseconds WaitingAnnouncer::trouble(const Error& error) {
  if (error.kind != ErrorKind::cancelled && throttle_.is_news(error.message)) {
    log_.info("deployments that wait are not told their place: {}", error.message);
  }
  troubles_ = std::min(troubles_ + 1, 10);
  return std::max(settings_.interval,
                  next_delay(k_backoff, troubles_ - 1, error.retry_after, random_));
}

}  // namespace builder::work
