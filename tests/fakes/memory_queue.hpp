#pragma once

#include "domain/deployment_request.hpp"
#include "ports/job_queue.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace builder::fakes {

/// The job queue in memory, with the port's every promise. Thread-safe.
class MemoryQueue final : public ports::JobQueue {
 public:
  void push(std::string payload) {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(std::move(payload));
    changed_.notify_all();
  }

  [[nodiscard]] bool idle() const {
    const std::scoped_lock lock(mutex_);
    return queue_.empty() && taken_.empty();
  }

  [[nodiscard]] std::vector<std::string> queued() const {
    const std::scoped_lock lock(mutex_);
    return {queue_.begin(), queue_.end()};
  }

  Result<std::optional<ports::TakenJob>> take(std::chrono::milliseconds patience,
                                              const std::stop_token& stop) override {
    std::unique_lock lock(mutex_);
    const bool ready = changed_.wait_for(lock, stop, patience, [this] { return !queue_.empty(); });
    if (stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped");
    }
    if (!ready) {
      return std::nullopt;
    }
    taken_.push_back(queue_.front());
    queue_.pop_front();
    return ports::TakenJob{taken_.back()};
  }

  Result<std::vector<std::string>> peek(std::size_t limit) override {
    const std::scoped_lock lock(mutex_);
    return std::vector<std::string>(
        queue_.begin(),
        queue_.begin() + static_cast<std::ptrdiff_t>(std::min(limit, queue_.size())));
  }

  Result<> finish(const ports::TakenJob& job) override {
    const std::scoped_lock lock(mutex_);
    remove(taken_, job.payload);
    return {};
  }

  Result<> give_back(const ports::TakenJob& job) override {
    const std::scoped_lock lock(mutex_);
    if (remove(taken_, job.payload)) {
      queue_.push_front(job.payload);
    }
    return {};
  }

  Result<std::size_t> recover() override {
    const std::scoped_lock lock(mutex_);
    const std::size_t count = taken_.size();
    queue_.insert(queue_.begin(), taken_.begin(), taken_.end());
    taken_.clear();
    return count;
  }

  Result<std::size_t> length() override {
    const std::scoped_lock lock(mutex_);
    return queue_.size();
  }

  Result<ports::CancelMark> mark_cancelled(const domain::DeploymentId& deployment) override {
    const std::scoped_lock lock(mutex_);
    cancelled_.insert(deployment.str());
    const auto removed = std::erase_if(queue_, [&](const std::string& payload) {
      return domain::parse_job(payload).deployment_id == deployment;
    });
    return removed > 0 ? ports::CancelMark::was_queued : ports::CancelMark::not_queued;
  }

  Result<bool> is_cancelled(const domain::DeploymentId& deployment) override {
    const std::scoped_lock lock(mutex_);
    return cancelled_.contains(deployment.str());
  }

 private:
  static bool remove(std::deque<std::string>& list, const std::string& payload) {
    const auto found = std::ranges::find(list, payload);
    if (found == list.end()) {
      return false;
    }
    list.erase(found);
    return true;
  }

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::string> queue_;
  std::deque<std::string> taken_;
  std::set<std::string> cancelled_;
};

}  // namespace builder::fakes
