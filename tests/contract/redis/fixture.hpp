#pragma once

#include "adapters/redis/client/connection.hpp"
#include "adapters/redis/leased/job_queue.hpp"
#include "ports/job_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

/// What the tests against the server share that REDIS_HOST and REDIS_PORT name.
namespace builder {

using adapters::redis::Connection;
using adapters::redis::RedisConfig;

inline std::string variable(const char* name, const std::string& fallback = "") {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

inline RedisConfig config(const std::string& queue) {
  RedisConfig config;
  config.address.host = variable("REDIS_HOST");
  config.address.port = static_cast<std::uint16_t>(std::stoi(variable("REDIS_PORT")));
  config.username = variable("REDIS_USERNAME");
  config.password = Secret(variable("REDIS_PASSWORD"));
  config.queue = queue;
  config.cancel_channel = queue + ":cancel";
  return config;
}

inline std::string job(const std::string& id) {
  return R"({"deploymentId":")" + id + R"(","serviceId":"s"})";
}

/// Waits for a condition; false when it does not come about in ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Remembers what the queue told.
class Listener final : public ports::QueueListener {
 public:
  void must_stop(const domain::DeploymentId& deployment, ports::StopReason reason) override {
    const std::scoped_lock lock(mutex_);
    stops_[deployment.str()] = reason;
  }

  void outbox_filled() override { outbox = true; }

  void malformed_element() override { ++malformed; }

  void given_up(const domain::DeploymentId& deployment) override {
    const std::scoped_lock lock(mutex_);
    given_up_.push_back(deployment.str());
  }

  [[nodiscard]] ports::WorkerActivity activity() const override {
    const std::scoped_lock lock(mutex_);
    return activity_;
  }

  void does(ports::WorkerActivity activity) {
    const std::scoped_lock lock(mutex_);
    activity_ = std::move(activity);
  }

  std::vector<std::string> given_up_ones() const {
    const std::scoped_lock lock(mutex_);
    return given_up_;
  }

  ports::StopReason stop_of(const std::string& id) const {
    const std::scoped_lock lock(mutex_);
    const auto found = stops_.find(id);
    return found == stops_.end() ? ports::StopReason::none : found->second;
  }

  std::atomic<bool> outbox = false;
  std::atomic<int> malformed = 0;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, ports::StopReason> stops_;
  std::vector<std::string> given_up_;
  ports::WorkerActivity activity_;
};

inline ports::StatusUpdate builded() {
  return {.status = ports::DeploymentStatus::builded,
          .error = {},
          .log = domain::Message{domain::LogType::info, "done \u00e9"},
          .image_uri = "registry/x@sha256:1"};
}

/// A queue whose elements are in no doubt.
inline std::unique_ptr<ports::JobQueue> trusted_queue(
    const RedisConfig& settings, const adapters::redis::QueueSettings& queue_settings, Log log) {
  auto queue = adapters::redis::make_job_queue(settings, queue_settings, std::move(log));
  EXPECT_TRUE(queue->doubtful());
  EXPECT_TRUE(queue->vetted({}));
  return queue;
}

class RealRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    if (variable("REDIS_PORT").empty()) {
      if (variable("CI") == "true") {
        FAIL() << "REDIS_PORT is not set";
      }
      GTEST_SKIP() << "REDIS_PORT is not set";
    }
  }
};

}  // namespace builder
