#include "adapters/host/disk.hpp"
#include "app/compose/build_parts.hpp"
#include "app/doctor/checks.hpp"
#include "app/host/host_watch.hpp"
#include "base/size.hpp"
#include "ports/metrics.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

namespace builder::app {

namespace {

/// Sessions, connections and files of one build at its busiest, and what the worker holds besides.
constexpr std::uint64_t k_files_of_build = 64;
constexpr std::uint64_t k_other_files = 256;
/// A machine with less has nothing for a build beside the engine.
constexpr std::uint64_t k_little_memory = 1ULL << 30U;

struct Memory {
  std::uint64_t total = 0;
  std::uint64_t available = 0;
};

/// Of /proc/meminfo, in bytes; zeros where the kernel does not say.
Memory memory_of_machine() {
  Memory memory;
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    const auto read = [&](std::string_view name, std::uint64_t& into) {
      if (line.starts_with(name)) {
        const char* const digits =
            line.data() + std::min(line.find_first_of("0123456789"), line.size());
        std::from_chars(digits, line.data() + line.size(), into);
        into *= 1024;
      }
    };
    read("MemTotal:", memory.total);
    read("MemAvailable:", memory.available);
  }
  return memory;
}

/// The folder itself, or the nearest one above it that is there already.
std::string nearest(const std::string& folder) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(folder, error).lexically_normal();
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    path = path.parent_path();
  }
  return path.string();
}

/// Asks for the rights alone: nothing is written.
void look_at_work_dir(const Config& config, Report& report) {
  constexpr const char* k_what = "WORK_DIR";
  const std::string there = nearest(config.work_dir);
  struct stat status{};
  const bool is_seen = ::stat(there.c_str(), &status) == 0;
  if (!is_seen || !S_ISDIR(status.st_mode) ||
      ::faccessat(AT_FDCWD, there.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    report.failure(k_what,
                   fmt::format("{} {}", there,
                               is_seen && !S_ISDIR(status.st_mode)
                                   ? "is no folder"
                                   : "cannot be written: " +
                                         std::generic_category().message(is_seen ? errno : ENOENT)),
                   {.setting = "WORK_DIR", .cure = "give the worker's user a folder of its own"});
    return;
  }
  if (::geteuid() == 0 && status.st_uid != 0) {
    report.warning(k_what,
                   fmt::format("{} belongs to the user {}; this look was made by root, whom "
                               "nothing is denied",
                               there, status.st_uid),
                   {.setting = "WORK_DIR",
                    .cure = "run `deployra-builder doctor` as the worker's user "
                            "(docs/operations.md, Troubleshooting)"});
    return;
  }
  const auto space = adapters::host::disk_space(there);
  report.ok(k_what, space ? fmt::format("{}, {} of {} free", there, format_size(space->free),
                                        format_size(space->total))
                          : there);
}

/// In the words with which the worker takes no job.
void look_at_refusals(const Config& config, Report& report) {
  ports::Metrics metrics;
  HostWatch host(config.admission, nearest(config.work_dir), metrics, Log());
  const std::string refusal = host.refusal();
  std::istringstream parts(refusal);
  for (std::string part; std::getline(parts, part, ';');) {
    if (part.contains("disk")) {
      report.failure("disk", part,
                     {.setting = "MIN_FREE_DISK",
                      .cure = "make room, or lower MIN_FREE_DISK; no job is taken meanwhile"});
    } else {
      report.failure(
          "pressure", part,
          {.setting = part.contains("MAX_IO") ? "MAX_IO_PRESSURE" : "MAX_MEMORY_PRESSURE",
           .cure = "lower MAX_PARALLEL_BUILDS, or give the machine more; no job is taken "
                   "meanwhile"});
    }
  }
  if (!refusal.contains("disk")) {
    report.ok("disk", "more is free than MIN_FREE_DISK asks for");
  }
}

void look_at_steps(const Config& config, Report& report) {
  constexpr const char* k_what = "step limits";
  if (const auto kept = check_step_limits(config); kept) {
    report.ok(k_what, "the worker can keep them by control groups");
  } else if (config.build_limits.any()) {
    report.warning(k_what, kept.error().message,
                   {.setting = "BUILD_MEMORY",
                    .cure = "docs/operations.md, Limits of a build, says what it takes"});
  } else {
    report.ok(k_what, kept.error().message);  // Nobody has asked for any.
  }
}

}  // namespace

void check_limits(const Config& config, Report& report) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const std::uint64_t wanted = k_other_files + k_files_of_build * config.max_parallel_builds;
  if (files.rlim_cur < wanted) {
    report.warning("open files",
                   fmt::format("{} are allowed; MAX_PARALLEL_BUILDS={} may need {}", files.rlim_cur,
                               config.max_parallel_builds, wanted),
                   {.setting = "MAX_PARALLEL_BUILDS",
                    .cure = "raise the limit: LimitNOFILE= of the unit, ulimit -n of a shell"});
  } else {
    report.ok("open files", fmt::format("{} are allowed", files.rlim_cur));
  }
  const Memory memory = memory_of_machine();
  if (memory.total == 0) {
    report.not_tried("memory", "the kernel does not say how much there is");
  } else if (config.build_limits.memory > memory.total && has_local_engine(config)) {
    report.warning("memory",
                   fmt::format("BUILD_MEMORY={} is more than this machine has ({}): it limits "
                               "nothing",
                               format_size(config.build_limits.memory), format_size(memory.total)),
                   {.setting = "BUILD_MEMORY", .cure = "set it to what one step may have"});
  } else if (memory.available < k_little_memory) {
    report.warning(
        "memory",
        fmt::format("{} of {} are available", format_size(memory.available),
                    format_size(memory.total)),
        {.setting = "MAX_PARALLEL_BUILDS", .cure = "lower it, or give the machine more memory"});
  } else {
    report.ok("memory", fmt::format("{} of {} are available", format_size(memory.available),
                                    format_size(memory.total)));
  }
}

void check_host(const Circumstances& now, Report& report) {
  look_at_work_dir(now.config, report);
  look_at_refusals(now.config, report);
  check_limits(now.config, report);
  look_at_steps(now.config, report);
}

}  // namespace builder::app
