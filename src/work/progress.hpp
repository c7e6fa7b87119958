#pragma once

#include "ports/worker_entry.hpp"

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace builder::work {

/// How far a running deployment is, for people who look. Whoever runs it writes, the queue's thread
/// reads. Thread-safe.
class Progress {
 public:
  Progress(domain::DeploymentId deployment, int attempt)
      : deployment_(std::move(deployment)), attempt_(attempt) {}

  void begin_phase(std::string_view phase) {
    const std::scoped_lock lock(mutex_);
    phase_ = phase;
    if (phase != "build") {
      step_.clear();
    }  // The engine's first steps may have begun beside the fetch.
  }

  /// `step` is redacted, and short.
  void begin_step(std::string step) {
    const std::scoped_lock lock(mutex_);
    step_ = std::move(step);
  }

  [[nodiscard]] ports::RunningJob now() const {
    const std::scoped_lock lock(mutex_);
    return {.deployment = deployment_,
            .attempt = attempt_,
            .phase = phase_,
            .step = step_,
            .age = std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                            started_)};
  }

 private:
  const domain::DeploymentId deployment_;
  const int attempt_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  std::string phase_ = "start";
  std::string step_;
};

}  // namespace builder::work
