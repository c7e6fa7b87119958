#include "app/process/watchdog.hpp"

#include "base/stop.hpp"

#include <systemd/sd-daemon.h>

#include <chrono>
#include <cstdint>

namespace builder::app {

Watchdog::Watchdog() {
  std::uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(0, &microseconds) <= 0) {
    return;
  }
  // Twice as often as asked for, as systemd recommends.
  const auto interval =
      std::chrono::ceil<std::chrono::milliseconds>(std::chrono::microseconds(microseconds / 2));
  thread_ = std::jthread([interval](const std::stop_token& stop) {
    do {
      ::sd_notify(0, "WATCHDOG=1");
    } while (sleep_for(interval, stop));
  });
}

}  // namespace builder::app
