#pragma once

#include "ports/lease.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>

namespace builder::adapters::redis {

/// The lease of one process as this process sees it: it holds for 60 % of the lease after the start
/// of the last beat that Redis confirmed. The rest is for posts that are under way. Time is
/// CLOCK_BOOTTIME: it goes on while the machine sleeps.
class RenewedLease final : public ports::Lease {
 public:
  RenewedLease(std::string lease_id, std::chrono::milliseconds lease);

  [[nodiscard]] const std::string& id() const { return id_; }

  [[nodiscard]] bool holds() const override;
  [[nodiscard]] bool wait(const std::stop_token& stop) const override;
  [[nodiscard]] bool lost() const;

  /// Now, for `renew`: taken before the beat is sent.
  static std::chrono::nanoseconds now();
  void renew(std::chrono::nanoseconds beat_started);
  void lose();

 private:
  const std::string id_;
  const std::chrono::nanoseconds span_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::chrono::nanoseconds until_{0};
  bool lost_ = false;
};

}  // namespace builder::adapters::redis
