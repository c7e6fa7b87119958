#pragma once

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/log_throttle.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"
#include "ports/job_queue.hpp"

#include <chrono>
#include <concepts>
#include <optional>
#include <stop_token>
#include <string_view>

namespace builder::ports {

/// Repeats a call to the queue until it is answered, whatever the queue refuses meanwhile: what it
/// was not told would stay ours, and nobody else's, for as long as this worker lives. `conflict` is
/// an answer: it is no longer ours. Gives up only on `abort`, with the last error: whoever leaves
/// the queue gives everything back. The trouble is logged as `what`.
template <std::invocable Call>
auto retry_until_answered(const Log& log, const std::stop_token& abort, std::string_view what,
                          Call&& call) {
  constexpr BackoffPolicy k_pauses{.base = std::chrono::milliseconds(200),
                                   .cap = std::chrono::milliseconds(5'000)};
  auto random = make_random();
  LogThrottle trouble;
  for (int attempt = 0;; ++attempt) {
    auto answer = call();
    if (answer || answer.error().kind == ErrorKind::conflict) {
      return answer;
    }
    if (trouble.is_news(answer.error().message)) {
      log.warning("{}: {}", what, answer.error().message);
    }
    if (!sleep_for(next_delay(k_pauses, attempt, std::nullopt, random), abort)) {
      return answer;
    }
  }
}

/// Puts an unfinished job back. In a conflict it has an end, which is only not delivered yet, or
/// another worker has it.
inline void requeue(ports::JobQueue& queue, const ports::Receipt& receipt, const Log& log,
                    const std::stop_token& abort) {
  [[maybe_unused]] const auto given = retry_until_answered(
      log, abort, "a job could not be given back", [&] { return queue.requeue(receipt); });
}

/// Leaves an end that was adopted for somebody else to post.
inline void leave_to_others(ports::JobQueue& queue, const ports::Receipt& receipt, const Log& log,
                            const std::stop_token& abort) {
  [[maybe_unused]] const auto left = retry_until_answered(
      log, abort, "a status could not be left to others",
      [&] { return queue.settle(receipt, ports::Delivery::later, std::nullopt); });
}

}  // namespace builder::ports
