#pragma once

#include "base/result.hpp"
#include "base/stop.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

namespace builder::adapters::ecr {

/// A value with a life: kept until it is worth a refresh, fetched by one thread at a time. While
/// one thread refreshes a value that may still be used, the others go on with it; a refresh that
/// fails leaves it in place. The lock is not held during the fetch.
template <class T>
class RefreshedValue {
 public:
  using Time = std::chrono::system_clock::time_point;

  struct Fetched {
    std::shared_ptr<const T> value;  ///< Shared with the calls that still use an older one.
    Time refresh_at;
    Time unusable_at;
  };

  using Fetch = std::function<Result<Fetched>()>;

  Result<std::shared_ptr<const T>> get(const Fetch& fetch, const std::stop_token& stop,
                                       SteadyTime deadline) {
    {
      std::unique_lock lock(mutex_);
      for (;;) {
        const Time now = std::chrono::system_clock::now();
        const bool usable = current_.value && now < current_.unusable_at;
        if (usable && (now < current_.refresh_at || fetching_)) {
          return current_.value;
        }
        if (!fetching_) {
          break;
        }
        // Woken at least once a minute: an unbounded deadline would overflow the clock.
        const auto until =
            std::min(deadline, std::chrono::steady_clock::now() + std::chrono::minutes(1));
        changed_.wait_until(lock, stop, until, [this] { return !fetching_; });
        if (stop.stop_requested()) {
          return failure(ErrorKind::cancelled, "stopped");
        }
        if (std::chrono::steady_clock::now() >= deadline) {
          return failure(ErrorKind::timed_out, "no answer in time");
        }
      }
      fetching_ = true;
    }
    auto fetched = fetch();
    std::unique_lock lock(mutex_);
    fetching_ = false;
    changed_.notify_all();
    if (fetched) {
      current_ = *std::move(fetched);
      return current_.value;
    }
    const Time now = std::chrono::system_clock::now();
    if (current_.value && now < current_.unusable_at) {
      current_.refresh_at = now + std::chrono::minutes(1);
      return current_.value;
    }
    return std::unexpected(std::move(fetched).error());
  }

  /// Makes the next `get` fetch; should that fail, what is there goes on being used while it may.
  void refresh_now() {
    const std::scoped_lock lock(mutex_);
    current_.refresh_at = {};
  }

  /// Forgets `stale`, unless somebody has replaced it already: of many calls that find the same
  /// value expired only the first causes a new one.
  void drop(const std::shared_ptr<const T>& stale) {
    const std::scoped_lock lock(mutex_);
    if (current_.value == stale) {
      current_ = {};
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  Fetched current_;
  bool fetching_ = false;
};

}  // namespace builder::adapters::ecr
