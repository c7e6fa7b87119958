#pragma once

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>
#include <thread>

namespace builder::fakes {

/// Has the kernel refuse every new thread, as it does at the limit of a control group. Root is not
/// bound by this limit: the process becomes nobody for good. So only in the child of a death test.
class ThreadLimit {
 public:
  ThreadLimit() {
    constexpr uid_t k_nobody = 65'534;
    ::getrlimit(RLIMIT_NPROC, &limit_);
    bound_ = ::geteuid() != 0 || ::setresuid(k_nobody, k_nobody, k_nobody) == 0;
  }

  void forbid() {
    rlimit none = limit_;
    none.rlim_cur = 0;
    ::setrlimit(RLIMIT_NPROC, &none);
  }

  void allow() { ::setrlimit(RLIMIT_NPROC, &limit_); }

  /// Where nothing binds (no such user here, a kernel that does not count), there is nothing to
  /// test.
  [[nodiscard]] bool binds() {
    if (!bound_) {
      return false;
    }
    forbid();
    bool made = true;
    try {
      std::jthread([] {}).join();
    } catch (const std::system_error&) {
      made = false;
    }
    allow();
    return !made;
  }

 private:
  rlimit limit_{};
  bool bound_ = false;
};

/// In the child of a death test, which ends with 0 when `body` had no failure.
template <class Body>
[[noreturn]] void without_threads(const Body& body) {
  ThreadLimit threads;
  if (threads.binds()) {
    threads.forbid();
    body();
  }
  std::_Exit(testing::Test::HasFailure() ? 1 : 0);
}

}  // namespace builder::fakes
