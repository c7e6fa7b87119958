#pragma once

#include "base/fd.hpp"

#include <poll.h>

#include <chrono>
#include <functional>
#include <span>
#include <stop_token>

namespace builder {

using SteadyTime = std::chrono::steady_clock::time_point;

/// A descriptor that becomes readable when stop is requested, for use in `poll` beside others.
/// It stays readable; nobody reads it.
class StopFd {
 public:
  explicit StopFd(std::stop_token token);
  StopFd(const StopFd&) = delete;
  StopFd& operator=(const StopFd&) = delete;

  [[nodiscard]] int get() const { return fd_.get(); }

 private:
  // Declared before the callback: the callback must be gone before the descriptor closes.
  Fd fd_;
  std::stop_callback<std::function<void()>> callback_;
};

enum class WaitResult { ready, deadline, stopped };

/// Polls `fds` until one of them is ready, `deadline` passes, or `stop` becomes readable.
/// Stop wins over readiness. EINTR is handled.
WaitResult wait_any(std::span<pollfd> fds, const StopFd& stop, SteadyTime deadline);

/// Waits for `duration`; false when stop was requested before it was over.
bool sleep_for(std::chrono::milliseconds duration, const std::stop_token& stop);

}  // namespace builder
