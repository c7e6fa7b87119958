#include "adapters/redis/leased/epoch_lease.hpp"

#include <ctime>
#include <utility>

namespace builder::adapters::redis {

EpochLease::EpochLease(std::string epoch, std::chrono::milliseconds lease)
    : epoch_(std::move(epoch)), span_(std::chrono::nanoseconds(lease) * 6 / 10) {
}

std::chrono::nanoseconds EpochLease::now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

bool EpochLease::holds() const {
  const std::scoped_lock lock(mutex_);
  return !lost_ && now() < until_;
}

bool EpochLease::lost() const {
  const std::scoped_lock lock(mutex_);
  return lost_;
}

bool EpochLease::wait(const std::stop_token& stop) const {
  std::unique_lock lock(mutex_);
  const bool decided = changed_.wait(lock, stop, [this] { return lost_ || now() < until_; });
  return decided && !lost_;
}

void EpochLease::renew(std::chrono::nanoseconds beat_started) {
  {
    const std::scoped_lock lock(mutex_);
    until_ = beat_started + span_;
  }
  changed_.notify_all();
}

void EpochLease::lose() {
  {
    const std::scoped_lock lock(mutex_);
    lost_ = true;
  }
  changed_.notify_all();
}

}  // namespace builder::adapters::redis
