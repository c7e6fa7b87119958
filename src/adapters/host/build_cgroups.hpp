#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "ports/build_limits.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace builder::adapters::host {

/// Of one build, all its steps together; 0: no limit.
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
  /// The group of this process by version 2, as /proc/self/cgroup has it.
  std::string own_group = "/";
  /// The groups of builds are made below this one; empty: below our own (version 2), or below one
  /// at the top (version 1).
  std::string parent;
  CgroupLimits limits;
};

/// This process's own group of version 2; "/" when it has none.
std::string own_cgroup();

/// A control group for every build, made and removed by us; the engine, on the same machine, puts
/// the steps into it. Removes what dead processes left. The error says what is in the way.
Result<std::unique_ptr<ports::BuildLimits>> make_build_cgroups(CgroupSettings settings, Log log);

/// One group for all builds, made by whoever runs the machine: limits are its affair.
std::unique_ptr<ports::BuildLimits> make_fixed_cgroup(std::string parent);

}  // namespace builder::adapters::host
