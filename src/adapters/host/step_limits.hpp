#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "ports/build_limits.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace builder::adapters::host {

/// Of one step of a build; 0: no limit.
struct CgroupLimits {
  std::uint64_t memory = 0;  ///< Bytes; no swap beside it.
  double cpus = 0;           ///< So much time of every `k_cpu_period`.
  std::uint64_t pids = 0;

  static constexpr std::uint64_t k_cpu_period = 100'000;  ///< Microseconds; the kernel's default.

  /// Microseconds of a period.
  [[nodiscard]] std::uint64_t cpu_quota() const {
    return static_cast<std::uint64_t>(cpus * static_cast<double>(k_cpu_period));
  }

  [[nodiscard]] bool any() const { return memory > 0 || cpus > 0 || pids > 0; }
};

struct CgroupSettings {
  /// Where the kernel shows its control groups, version 1 or 2.
  std::string root = "/sys/fs/cgroup";
  std::string processes = "/proc";
  CgroupLimits limits;
  bool asked_for = true;  ///< By the operator, who is told what cannot be kept.
};

/// What a step may use of this machine unless the operator says otherwise: all memory but what the
/// system, the engine and the worker need to live, and more processes than any honest build has.
/// Never less than a build could have for itself alone.
CgroupLimits default_limits();

/// Looks at the control groups in which the engine, on the same machine, runs the steps of builds;
/// gives each the limits in the moment in which it is made. A step that begins while a build of
/// ours runs is held for ours. The error says what is in the way.
Result<std::unique_ptr<ports::BuildLimits>> make_step_limits(CgroupSettings settings, Log log);

}  // namespace builder::adapters::host
