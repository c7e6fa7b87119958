#include "adapters/redis/leased/renewed_lease.hpp"

#include <ctime>
#include <utility>

namespace builder::adapters::redis {

RenewedLease::RenewedLease(std::string lease_id, std::chrono::milliseconds lease)
    : id_(std::move(lease_id)), span_(std::chrono::nanoseconds(lease) * 6 / 10) {
}

std::chrono::nanoseconds RenewedLease::now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

bool RenewedLease::holds() const {
  const std::scoped_lock lock(mutex_);
  return !lost_ && now() < until_;
}

bool RenewedLease::lost() const {
  const std::scoped_lock lock(mutex_);
  return lost_;
}

bool RenewedLease::wait(const std::stop_token& stop) const {
  std::unique_lock lock(mutex_);
  const bool decided = changed_.wait(lock, stop, [this] { return lost_ || now() < until_; });
  return decided && !lost_;
}

void RenewedLease::renew(std::chrono::nanoseconds beat_started) {
  {
    const std::scoped_lock lock(mutex_);
    until_ = beat_started + span_;
  }
  changed_.notify_all();
}

void RenewedLease::lose() {
  {
    const std::scoped_lock lock(mutex_);
    lost_ = true;
  }
  changed_.notify_all();
}

}  // namespace builder::adapters::redis
