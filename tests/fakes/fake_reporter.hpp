#pragma once

#include "ports/deployment_reporter.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace builder::fakes {

/// A platform that remembers every post in order and answers as told. Thread-safe.
class FakeReporter final : public ports::DeploymentReporter {
 public:
  struct Post {
    std::string deployment;
    bool is_status = false;
    ports::DeploymentStatus status{};
    std::string error;
    std::string image_uri;
    domain::LogType type{};
    std::string text;
  };

  Result<ports::StatusAnswer> post_status(const domain::DeploymentId& deployment,
                                          const ports::StatusUpdate& update,
                                          const ports::PostTerms& terms) override {
    if (auto error =
            next_failure(terms.stop, update.error + (update.log ? update.log->text : ""))) {
      return std::unexpected(*error);
    }
    const std::scoped_lock lock(mutex_);
    posts_.push_back({.deployment = deployment.str(),
                      .is_status = true,
                      .status = update.status,
                      .error = update.error,
                      .image_uri = update.image_uri,
                      .type = update.log ? update.log->type : domain::LogType::info,
                      .text = update.log ? update.log->text : ""});
    return answer;
  }

  Result<> post_log(const domain::DeploymentId& deployment, domain::LogType type,
                    const std::string& text, const ports::PostTerms& terms) override {
    if (auto error = next_failure(terms.stop, text)) {
      return std::unexpected(*error);
    }
    const std::scoped_lock lock(mutex_);
    posts_.push_back(
        {.deployment = deployment.str(), .is_status = false, .type = type, .text = text});
    return {};
  }

  /// The next calls fail with these errors, in order.
  void fail_next(ErrorKind kind, int times = 1) {
    fail_next(Error{.kind = kind, .message = "told to fail"}, times);
  }

  void fail_next(const Error& error, int times = 1) {
    const std::scoped_lock lock(mutex_);
    for (int i = 0; i < times; ++i) {
      failures_.push_back(error);
    }
  }

  [[nodiscard]] std::vector<Post> posts() const {
    const std::scoped_lock lock(mutex_);
    return posts_;
  }

  /// The statuses of one deployment, in order.
  [[nodiscard]] std::vector<ports::DeploymentStatus> statuses(const std::string& deployment) const {
    std::vector<ports::DeploymentStatus> statuses;
    for (const Post& post : posts()) {
      if (post.is_status && post.deployment == deployment) {
        statuses.push_back(post.status);
      }
    }
    return statuses;
  }

  [[nodiscard]] std::string log_text() const {
    std::string text;
    for (const Post& post : posts()) {
      if (!post.is_status) {
        text += post.text + "\n";
      }
    }
    return text;
  }

  ports::StatusAnswer answer;  ///< Set before the first call.
  /// Called in front of every post, outside the lock; may wait.
  std::function<void(const std::stop_token&)> on_post;
  /// What a post with these words fails with; set before the first call.
  std::function<std::optional<Error>(const std::string& words)> refuse;

  [[nodiscard]] int refusals() const { return refusals_; }

 private:
  std::optional<Error> next_failure(const std::stop_token& stop, const std::string& words) {
    if (on_post) {
      on_post(stop);
    }
    if (auto refused = refuse ? refuse(words) : std::nullopt) {
      ++refusals_;
      return refused;
    }
    const std::scoped_lock lock(mutex_);
    if (failures_.empty()) {
      return std::nullopt;
    }
    Error error = failures_.front();
    failures_.pop_front();
    return error;
  }

  std::atomic<int> refusals_ = 0;
  mutable std::mutex mutex_;
  std::deque<Error> failures_;
  std::vector<Post> posts_;
};

}  // namespace builder::fakes
