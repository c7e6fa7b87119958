#pragma once

#include <csignal>
#include <stop_token>
#include <thread>

namespace builder::app {

/// Ctrl+C of a command that a person waits for: the first SIGINT, SIGTERM or SIGHUP requests a
/// stop, the second ends the process at once (130). One that is ignored stays so (`nohup`). Make
/// one before the first thread starts, so that every thread inherits the blocked mask. SIGPIPE is
/// ignored: peers may close sockets at any time.
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  [[nodiscard]] std::stop_token token() const { return interrupted_.get_token(); }

 private:
  void run(const std::stop_token& stop);

  sigset_t set_{};
  std::stop_source interrupted_;
  std::jthread thread_;
};

}  // namespace builder::app
