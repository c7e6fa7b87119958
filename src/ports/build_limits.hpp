#pragma once

#include "domain/ids.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace builder::ports {

/// A place of its own for the processes of one solve, with the limits in force; closed with the
/// object, when they are gone.
class BuildRoom {
 public:
  virtual ~BuildRoom() = default;
  /// What the engine is told to put them below.
  [[nodiscard]] virtual std::string cgroup_parent() const = 0;
  /// One of them was killed because the build reached its limit of memory: the limit in words.
  [[nodiscard]] virtual std::optional<std::string> exhausted_memory() const = 0;
};

/// How much of this machine a build may use, and how much it does. Thread-safe; outlives its rooms.
class BuildLimits {
 public:
  virtual ~BuildLimits() = default;
  /// nullptr: there is none to be had at the moment; the operator was told why.
  virtual std::unique_ptr<BuildRoom> open(const domain::DeploymentId& deployment) = 0;
  /// CPU time that the processes of the deployment's build used since it was opened; smaller again
  /// when a further solve begins. nullopt: nobody counts.
  [[nodiscard]] virtual std::optional<std::chrono::nanoseconds> cpu_time(
      const domain::DeploymentId& deployment) const = 0;
};

}  // namespace builder::ports
