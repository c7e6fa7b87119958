#include "app/process/interrupt.hpp"

#include "base/check.hpp"
#include "base/fd.hpp"
#include "base/stop.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>

#include <array>
#include <cstdlib>

namespace builder::app {

namespace {

constexpr int k_exit_aborted = 130;

}  // namespace

Interrupt::Interrupt() {
  ::sigemptyset(&set_);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    struct sigaction now{};
    // signalfd would report one that `nohup` or a shell's job in the background has ignored.
    if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_IGN) {
      ::sigaddset(&set_, number);
    }
  }
  BUILDER_CHECK(::pthread_sigmask(SIG_BLOCK, &set_, nullptr) == 0);
  BUILDER_CHECK(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Interrupt::run(const std::stop_token& stop) {
  const Fd fd(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  BUILDER_CHECK(fd);
  const StopFd stop_fd(stop);
  for (;;) {
    std::array<pollfd, 1> fds{{{.fd = fd.get(), .events = POLLIN, .revents = 0}}};
    if (wait_any(fds, stop_fd, SteadyTime::max()) == WaitResult::stopped) {
      return;
    }
    signalfd_siginfo info{};
    if (::read(fd.get(), &info, sizeof info) == sizeof info && !interrupted_.request_stop()) {
      std::_Exit(k_exit_aborted);
    }
  }
}

}  // namespace builder::app
