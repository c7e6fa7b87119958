#pragma once

#include "base/log.hpp"

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

namespace builder::app {

/// Turns SIGTERM and SIGINT into stop requests: the first into `drain`, the second into `hurry`;
/// the third ends the process at once. SIGUSR2 pauses and resumes the taking of jobs; SIGHUP and
/// SIGUSR1, which end others, do nothing.
///
/// Make one before the first thread starts, so that every thread inherits the blocked mask; SIGPIPE
/// is ignored as well, since peers may close sockets at any time.
class Signals {
 public:
  explicit Signals();
  /// Starts the thread that waits for signals; it ends with the object.
  void listen(Log log);

  [[nodiscard]] std::stop_token drain() const { return drain_.get_token(); }

  [[nodiscard]] std::stop_token hurry() const { return hurry_.get_token(); }

  [[nodiscard]] bool paused() const { return paused_; }

 private:
  void run(const std::stop_token& stop, const Log& log);

  sigset_t set_{};
  std::stop_source drain_;
  std::stop_source hurry_;
  std::atomic<bool> paused_{false};
  std::jthread thread_;
};

}  // namespace builder::app
