#pragma once

#include "domain/ids.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace builder::ports {

/// One solve as this machine sees it; over with the object. Used by one thread.
class WatchedSolve {
 public:
  virtual ~WatchedSolve() = default;
  /// `name` as the engine writes it: "[build 2/4] RUN make".
  virtual void step_started(std::uint32_t step, const std::string& name) = 0;
  virtual void step_ended(std::uint32_t step) = 0;
  /// A process of one of its steps was killed because the step reached its limit of memory: the
  /// limit in words.
  [[nodiscard]] virtual std::optional<std::string> exhausted_memory() const = 0;
};

/// How much of this machine a step of a build may use, and how much the builds do. Nothing of it is
/// told to the engine: what differs between two builds would be part of its cache keys.
/// Thread-safe; outlives its solves.
class BuildLimits {
 public:
  virtual ~BuildLimits() = default;
  virtual std::unique_ptr<WatchedSolve> watch(const domain::DeploymentId& deployment) = 0;
  /// CPU time used by the steps that the deployment runs now; smaller again when one has ended.
  /// Steps that could be its own or another's count for both. nullopt: it runs no solve.
  [[nodiscard]] virtual std::optional<std::chrono::nanoseconds> cpu_time(
      const domain::DeploymentId& deployment) const = 0;
};

}  // namespace builder::ports
