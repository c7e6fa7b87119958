#include "app/health/health.hpp"

#include "fakes/fake_steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace builder::app {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A peer that is away until it is told to come back, and lets a test wait for probes.
class Peer {
 public:
  Result<> probe() {
    const std::scoped_lock lock(mutex_);
    ++probes_;
    probed_.notify_all();
    return away_ ? Result<>(failure(ErrorKind::unavailable, "no answer")) : Result<>();
  }

  void set_away(bool away) {
    const std::scoped_lock lock(mutex_);
    away_ = away;
  }

  /// Until two more rounds have begun: the first one's result is then known.
  void wait_for_rounds() {
    std::unique_lock lock(mutex_);
    const int wanted = probes_ + 2;
    EXPECT_TRUE(
        probed_.wait_for(lock, std::chrono::seconds(20), [&] { return probes_ >= wanted; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable probed_;
  bool away_ = true;
  int probes_ = 0;
};

TEST(HealthMonitor, NamesWhoIsAwayAndIsReadyOnceWhenAllAreThere) {
  Peer peer;
  std::atomic<int> ready = 0;
  std::mutex mutex;
  std::condition_variable told;
  ports::Metrics metrics;
  HealthMonitor health({{"redis", [](const std::stop_token&) { return Result<>(); }},
                        {"engine", [&](const std::stop_token&) { return peer.probe(); }}},
                       metrics, fakes::null_log(), [&] {
                         const std::scoped_lock lock(mutex);
                         ++ready;
                         told.notify_all();
                       });
  EXPECT_FALSE(health.reasons().empty()) << "not ready before anybody was asked";
  peer.wait_for_rounds();
  EXPECT_THAT(health.reasons(), ElementsAre("engine: no answer"));
  EXPECT_THAT(metrics.render(), HasSubstr("deployra_builder_ready 0"));
  EXPECT_EQ(ready, 0);
  peer.set_away(false);
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(told.wait_for(lock, std::chrono::seconds(20), [&] { return ready == 1; }));
  }
  EXPECT_THAT(health.reasons(), IsEmpty());
  EXPECT_THAT(metrics.render(), HasSubstr("deployra_builder_ready 1"));
  health.set_draining();
  EXPECT_THAT(health.reasons(), Contains(HasSubstr("draining")));
  EXPECT_THAT(metrics.render(), HasSubstr("deployra_builder_ready 0"));
}

class Lines final : public LogSink {
 public:
  void write(LogLevel, std::string_view line) override {
    const std::scoped_lock lock(mutex_);
    lines_.emplace_back(line);
    written_.notify_all();
  }

  [[nodiscard]] bool enabled(LogLevel) const override { return true; }

  /// As soon as there are so many.
  std::vector<std::string> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        written_.wait_for(lock, std::chrono::seconds(20), [&] { return lines_.size() >= count; }));
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable written_;
  std::vector<std::string> lines_;
};

TEST(HealthMonitor, SaysOnlyWhatHasChanged) {
  const auto lines = std::make_shared<Lines>();
  ports::Metrics metrics;
  std::atomic<int> phase = 0;
  const auto away = [&](int since, int until, const char* why) -> Result<> {
    return phase < since || phase >= until
               ? Result<>()
               : Result<>(std::unexpected(
                     Error{.kind = ErrorKind::denied, .message = why}.for_operator("A_SETTING")));
  };
  HealthMonitor health(
      {{"redis", [&](const std::stop_token&) { return away(0, 3, "refused"); }},
       {"engine", [&](const std::stop_token&) { return away(1, 2, "no answer"); }}},
      metrics, Log(lines), [] {});
  const std::vector<std::string> expected{
      "not ready: redis: refused (look at A_SETTING)",
      "not ready: engine: no answer (look at A_SETTING)",
      "engine: well again",
      "redis: well again",
      "ready",
  };
  for (std::size_t count = 1; count <= 4; ++count) {
    const auto so_far = lines->wait_for(count);
    EXPECT_THAT(
        std::vector(so_far.begin(), so_far.begin() + static_cast<int>(count)),
        testing::ElementsAreArray(expected.begin(), expected.begin() + static_cast<int>(count)));
    ++phase;
  }
  EXPECT_EQ(lines->wait_for(5), expected);
}

TEST(HealthMonitor, EndsWhileAPeerHangs) {
  ports::Metrics metrics;
  std::atomic<bool> asked = false;
  const auto started = std::chrono::steady_clock::now();
  {
    HealthMonitor health({{"engine",
                           [&](const std::stop_token& stop) -> Result<> {
                             asked = true;
                             sleep_for(std::chrono::minutes(1), stop);
                             return failure(ErrorKind::cancelled, "stopped");
                           }}},
                         metrics, fakes::null_log(), [] {});
    while (!asked) {
      std::this_thread::yield();
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
}

}  // namespace
}  // namespace builder::app
