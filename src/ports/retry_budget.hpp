#pragma once

#include "domain/attempts.hpp"

#include <atomic>
#include <optional>

namespace builder::ports {

/// How often work may still be begun anew for one deployment. Whoever repeats a step that costs
/// minutes (the run as a whole, a fetch, a solve) takes each repetition from here, so that a loop
/// inside a loop shares the few attempts there are and does not multiply them. A client that asks a
/// peer one question again does not count: that takes seconds, within the limit of its step.
/// Thread-safe.
class RetryBudget {
 public:
  /// `begun`: the attempt that is under way; earlier ones were made by workers that were lost.
  explicit RetryBudget(int begun = 1, int most = domain::k_most_attempts)
      : begun_(begun), most_(most) {}

  /// Takes one: the number of the attempt that may begin. nullopt: none is left.
  std::optional<int> take() {
    int begun = begun_.load();
    while (begun < most_) {
      if (begun_.compare_exchange_weak(begun, begun + 1)) {
        return begun + 1;
      }
    }
    return std::nullopt;
  }

  [[nodiscard]] int most() const { return most_; }

 private:
  std::atomic<int> begun_;
  const int most_;
};

}  // namespace builder::ports
