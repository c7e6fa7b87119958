#pragma once

#include <chrono>
#include <optional>
#include <random>

namespace builder {

/// Exponential back-off with full jitter.
struct BackoffPolicy {
  std::chrono::milliseconds base{500};
  std::chrono::milliseconds cap{60'000};
};

/// The delay before retry number `attempt` (0 for the first retry): uniform in
/// [0, min(base * 2^attempt, cap)], and never less than `retry_after` when the peer named one.
std::chrono::milliseconds next_delay(const BackoffPolicy& policy, int attempt,
                                     std::optional<std::chrono::milliseconds> retry_after,
                                     std::mt19937_64& random);

/// A generator seeded from the system; one per thread that needs jitter.
std::mt19937_64 make_random();

}  // namespace builder
