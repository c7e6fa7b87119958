#include "app/host/housekeeping.hpp"

#include "adapters/git/mirror_cache.hpp"
#include "base/size.hpp"
#include "base/stop.hpp"

#include <chrono>
#include <utility>

namespace builder::app {

namespace {

using Clock = std::chrono::steady_clock;

/// How soon a disk that is short is noticed.
constexpr std::chrono::seconds k_look_interval{2};
/// A short disk that mirrors cannot help is not searched for them all the time; one that is still
/// in use may be free by then.
constexpr std::chrono::seconds k_emergency_interval{5};
constexpr std::chrono::minutes k_sweep_interval{10};
/// Without an idle moment it is done beside builds.
constexpr std::chrono::hours k_longest_interval{1};

}  // namespace

Housekeeping::Housekeeping(const WorkDir& work, HostWatch& host, std::uint64_t mirror_cache_size,
                           std::function<bool()> idle, Log log)
    : work_(work),
      host_(host),
      mirror_cache_size_(mirror_cache_size),
      idle_(std::move(idle)),
      log_(std::move(log)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {
}

void Housekeeping::run(const std::stop_token& stop) {
  Clock::time_point swept = Clock::now() - 2 * k_longest_interval;
  Clock::time_point emergency = swept;
  Clock::time_point orphans = Clock::now();  // The start has just done it.
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    const std::uint64_t missing = host_.missing_in_work_dir();
    const bool due = now - swept > (idle_() ? k_sweep_interval : k_longest_interval);
    if (due || (missing > 0 && now - emergency > k_emergency_interval)) {
      sweep(missing, stop);
      swept = now;
      emergency = missing > 0 ? now : emergency;
    }
    if (now - orphans > k_longest_interval) {
      work_.remove_orphans();
      orphans = now;
    }
    sleep_for(k_look_interval, stop);
  }
}

void Housekeeping::sweep(std::uint64_t must_free, const std::stop_token& stop) const {
  const auto swept =
      adapters::git::sweep_mirrors(work_.path(), mirror_cache_size_, must_free, stop);
  if (swept.removed > 0) {
    log_.info("{} git mirrors ({}) were removed{}, {} are left", swept.removed,
              format_size(swept.freed),
              must_free > 0 ? ", the disk is short" : " to keep MIRROR_CACHE_SIZE",
              format_size(swept.kept));
  }
}

}  // namespace builder::app
