#include "app/process/signals.hpp"

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

Signals::Signals() {
  ::sigemptyset(&set_);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) {
    ::sigaddset(&set_, number);
  }
  BUILDER_CHECK(::pthread_sigmask(SIG_BLOCK, &set_, nullptr) == 0);
  BUILDER_CHECK(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
}

void Signals::listen(Log log) {
  thread_ =
      std::jthread([this, log = std::move(log)](const std::stop_token& stop) { run(stop, log); });
}

void Signals::run(const std::stop_token& stop, const Log& log) {
  const Fd fd(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  BUILDER_CHECK(fd);
  const StopFd stop_fd(stop);
  for (;;) {
    std::array<pollfd, 1> fds{{{.fd = fd.get(), .events = POLLIN, .revents = 0}}};
    if (wait_any(fds, stop_fd, SteadyTime::max()) == WaitResult::stopped) {
      return;
    }
    signalfd_siginfo info{};
    if (::read(fd.get(), &info, sizeof info) != sizeof info) {
      continue;
    }
    if (info.ssi_signo == SIGHUP || info.ssi_signo == SIGUSR1) {
      log.info("signal {} has no meaning here; SIGTERM stops the worker", info.ssi_signo);
    } else if (info.ssi_signo == SIGUSR2) {
      paused_ = !paused_;
      log.warning("SIGUSR2: {}",
                  paused_ ? "no jobs are taken until the next one" : "jobs are taken again");
    } else if (!drain_.stop_requested()) {
      log.info("stopping: no new jobs are taken; a second signal ends the running builds");
      drain_.request_stop();
    } else if (!hurry_.stop_requested()) {
      log.warning("second signal: running builds are stopped and go back to the queue");
      hurry_.request_stop();
    } else {
      std::_Exit(k_exit_aborted);
    }
  }
}

}  // namespace builder::app
