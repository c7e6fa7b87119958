#pragma once

#include <thread>

namespace builder::app {

/// Tells systemd, as often as its WatchdogSec= asks for, that the process is alive; nothing when it
/// does not ask. On a thread of its own, which ends with the object.
class Watchdog {
 public:
  Watchdog();

 private:
  std::jthread thread_;
};

}  // namespace builder::app
