#pragma once

#include "app/host/host_watch.hpp"
#include "app/host/work_dir.hpp"
#include "base/log.hpp"

#include <cstdint>
#include <functional>
#include <thread>

namespace builder::app {

/// Keeps WORK_DIR in bounds beside the builds: old mirrors, and what processes that died left. On a
/// thread of its own, which ends with the object.
class Housekeeping {
 public:
  /// Everything given outlives it. `idle`: no build is running here.
  Housekeeping(const WorkDir& work, HostWatch& host, std::uint64_t mirror_cache_size,
               std::function<bool()> idle, Log log);

 private:
  void run(const std::stop_token& stop);
  void sweep(std::uint64_t must_free, const std::stop_token& stop) const;

  const WorkDir& work_;
  HostWatch& host_;
  const std::uint64_t mirror_cache_size_;
  const std::function<bool()> idle_;
  const Log log_;
  std::jthread thread_;
};

}  // namespace builder::app
