#include "base/backoff.hpp"

#include <algorithm>
#include <cstdint>

namespace builder {

std::chrono::milliseconds next_delay(const BackoffPolicy& policy, int attempt,
                                     std::optional<std::chrono::milliseconds> retry_after,
                                     std::mt19937_64& random) {
  const int shift = std::clamp(attempt, 0, 30);
  const std::int64_t ceiling =
      std::min(policy.base.count() * (std::int64_t{1} << shift), policy.cap.count());
  std::uniform_int_distribution<std::int64_t> jitter(0, std::max<std::int64_t>(ceiling, 0));
  const std::chrono::milliseconds delay(jitter(random));
  return retry_after ? std::max(delay, *retry_after) : delay;
}

std::mt19937_64 make_random() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  return std::mt19937_64(seed);
}

}  // namespace builder
