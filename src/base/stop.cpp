#include "base/stop.hpp"

#include "base/check.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace builder {

StopFd::StopFd(std::stop_token token)
    : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(std::move(token), [this] {
        const std::uint64_t one = 1;
        // Cannot fail short of a closed descriptor: the counter is far from its maximum.
        [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
      }) {
  BUILDER_CHECK(fd_);
}

WaitResult wait_any(std::span<pollfd> fds, const StopFd& stop, SteadyTime deadline) {
  std::vector<pollfd> all(fds.begin(), fds.end());
  all.push_back({.fd = stop.get(), .events = POLLIN, .revents = 0});
  for (;;) {
    int timeout = -1;
    if (deadline != SteadyTime::max()) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000'000));
    }
    const int ready = ::poll(all.data(), all.size(), timeout);
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    BUILDER_CHECK(ready >= 0);
    if (all.back().revents != 0) {
      return WaitResult::stopped;
    }
    if (ready == 0) {
      return WaitResult::deadline;
    }
    std::copy(all.begin(), all.end() - 1, fds.begin());
    return WaitResult::ready;
  }
}

bool sleep_for(std::chrono::milliseconds duration, const std::stop_token& stop) {
  const StopFd stop_fd(stop);
  return wait_any({}, stop_fd, std::chrono::steady_clock::now() + duration) != WaitResult::stopped;
}

}  // namespace builder
