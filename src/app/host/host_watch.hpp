#pragma once

#include "app/host/admission.hpp"
#include "base/log.hpp"
#include "base/sync.hpp"
#include "ports/metrics.hpp"

#include <chrono>
#include <string>

namespace builder::app {

/// Looks at this machine's disks and pressure and tells whether it can bear builds. Thread-safe.
class HostWatch {
 public:
  HostWatch(AdmissionRules rules, std::string work_dir, ports::Metrics& metrics, Log log);

  /// From now on the engine's disk is looked at as well, if the folder is on this machine.
  void watch_engine(const std::string& folder);

  /// Empty: a build may be taken. See Admission::refusal.
  std::string refusal();

  /// Even what runs is too much.
  bool must_shed();

  /// So many bytes should be freed on WORK_DIR's disk.
  std::uint64_t missing_in_work_dir();

 private:
  struct State {
    std::chrono::steady_clock::time_point seen{};
    std::string engine_dir;
  };

  void look();

  const AdmissionRules rules_;
  const std::string work_dir_;
  ports::Metrics& metrics_;
  const Log log_;
  Admission admission_;
  Sync<State> state_;
};

}  // namespace builder::app
