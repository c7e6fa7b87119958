#pragma once

#include "base/result.hpp"
#include "base/sync.hpp"
#include "ports/job_context.hpp"

#include <netinet/in.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace builder::adapters::network {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr& get() const { return reinterpret_cast<const sockaddr&>(storage); }

  /// As getnameinfo writes it, without brackets.
  [[nodiscard]] std::string numeric() const;
};

/// Looks host names up. The system's resolver cannot be interrupted: it runs in threads of this
/// object, and a job that is stopped leaves its lookup behind. The destructor waits for those (as
/// long as the system's resolver takes at most). Thread-safe.
class Resolver {
 public:
  /// At least one address. `not_found` (no such host), `unavailable` (no answer now), `cancelled`,
  /// `timed_out`.
  Result<std::vector<Address>> lookup(const std::string& host, const ports::JobContext& job);

 private:
  struct Answer;

  struct Running {
    std::shared_ptr<Answer> answer;  // Shared with the thread, which may outlive the waiting job.
    std::jthread thread;
  };

  Sync<std::vector<Running>> running_;
};

}  // namespace builder::adapters::network
