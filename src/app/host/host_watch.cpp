#include "app/host/host_watch.hpp"

#include "adapters/host/disk.hpp"
#include "adapters/host/pressure.hpp"

#include <utility>

namespace builder::app {

namespace {

using adapters::host::disk_space;
using adapters::host::DiskSpace;
using adapters::host::pressure;

/// Whoever asks sooner gets what was seen last.
constexpr std::chrono::milliseconds k_interval{250};
constexpr const char* k_work_dir = "WORK_DIR";
constexpr const char* k_engine = "the engine";

DiskState state_of(const char* name, const DiskSpace& space) {
  return {.name = name,
          .free = space.free,
          .total = space.total,
          .free_inodes = space.free_inodes,
          .total_inodes = space.total_inodes};
}

}  // namespace

HostWatch::HostWatch(AdmissionRules rules, std::string work_dir, ports::Metrics& metrics, Log log)
    : rules_(rules),
      work_dir_(std::move(work_dir)),
      metrics_(metrics),
      log_(std::move(log)),
      admission_(rules) {
  const bool wants_pressure = rules_.max_memory_pressure > 0 || rules_.max_io_pressure > 0;
  if (wants_pressure && !pressure("memory")) {
    log_.info("this kernel tells no pressure (PSI): only free disk decides whether jobs are taken");
  }
}

void HostWatch::watch_engine(const std::string& folder) {
  if (const auto space = disk_space(folder); !space) {
    log_.info(
        "the engine's disk is not watched: its folder {} is not on this machine; ENGINE_DIR "
        "may name it",
        folder);
    return;
  }
  state_.lock()->engine_dir = folder;
}

void HostWatch::look() {
  const auto now = std::chrono::steady_clock::now();
  std::string engine_dir;
  {
    auto state = state_.lock();
    if (now - state->seen < k_interval) {
      return;
    }
    state->seen = now;
    engine_dir = state->engine_dir;
  }
  HostState host;
  const auto work = disk_space(work_dir_);
  if (work) {
    host.disks.push_back(state_of(k_work_dir, *work));
  }
  if (const auto engine = engine_dir.empty() ? work : disk_space(engine_dir);
      engine && (!work || engine->device != work->device)) {
    host.disks.push_back(state_of(k_engine, *engine));
  }
  if (rules_.max_memory_pressure > 0) {
    host.memory_pressure = pressure("memory");
  }
  if (rules_.max_io_pressure > 0) {
    host.io_pressure = pressure("io");
  }
  admission_.look(host);
  for (const DiskState& disk : host.disks) {
    metrics_.set_disk_free(disk.name == k_engine ? "engine" : "work_dir", disk.free);
  }
  const auto missing = admission_.short_of();
  for (const char* what : {"disk", "inodes", "memory", "io"}) {
    metrics_.set_host_short(what, missing.contains(what));
  }
}

std::string HostWatch::refusal() {
  look();
  return admission_.refusal();
}

bool HostWatch::must_shed() {
  look();
  return admission_.critical();
}

std::uint64_t HostWatch::missing_in_work_dir() {
  look();
  return admission_.missing(k_work_dir);
}

}  // namespace builder::app
