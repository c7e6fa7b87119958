#pragma once

#include "base/stop.hpp"
#include "ports/job_queue.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

namespace builder::fakes {

/// A lease that holds until the test says otherwise.
class FakeLease final : public ports::Lease {
 public:
  void set(bool holds, bool lost = false) {
    {
      const std::scoped_lock lock(mutex_);
      holds_ = holds && !lost;
      lost_ = lost;
    }
    changed_.notify_all();
  }

  [[nodiscard]] bool holds() const override {
    const std::scoped_lock lock(mutex_);
    return holds_;
  }

  [[nodiscard]] bool wait(const std::stop_token& stop) const override {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, stop, [this] { return holds_ || lost_; }) && !lost_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  bool holds_ = true;
  bool lost_ = false;
};

inline ports::Receipt receipt(const std::string& id,
                              std::shared_ptr<FakeLease> lease = std::make_shared<FakeLease>()) {
  return {domain::DeploymentId(id), "lease", std::move(lease)};
}

}  // namespace builder::fakes
