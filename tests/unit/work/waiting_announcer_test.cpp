// What is posted for deployments that wait, and what is not.
#include "work/waiting_announcer.hpp"

#include "fakes/fake_lease.hpp"
#include "fakes/fake_reporter.hpp"
#include "fakes/fake_steps.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

namespace builder::work {
namespace {

using namespace std::chrono_literals;
using domain::DeploymentId;
using std::chrono::milliseconds;

/// A queue as the test sets it, which says how often it was looked at.
class FakeRoom final : public ports::WaitingRoom {
 public:
  Result<std::optional<domain::WaitingLine>> look(const std::vector<milliseconds>& took,
                                                  const std::stop_token& /*stop*/) override {
    const std::scoped_lock lock(mutex_);
    ++looks_;
    changed_.notify_all();
    if (failures > 0) {
      --failures;
      return failure(ErrorKind::denied, "told to fail");
    }
    told.insert(told.end(), took.begin(), took.end());
    return line;
  }

  Result<std::shared_ptr<const ports::Lease>> still_waits(
      const DeploymentId& deployment, const std::stop_token& /*stop*/) override {
    const std::scoped_lock lock(mutex_);
    return taken.contains(deployment.str()) ? nullptr : std::make_shared<fakes::FakeLease>();
  }

  /// Waits until it was looked at so often.
  bool looked_at(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return looks_ >= times; });
  }

  [[nodiscard]] int looks() const {
    const std::scoped_lock lock(mutex_);
    return looks_;
  }

  std::optional<domain::WaitingLine> line;  ///< Like the others, set before the first look.
  std::set<std::string> taken;
  std::vector<milliseconds> told;
  int failures = 0;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int looks_ = 0;
};

class WaitingAnnouncerTest : public testing::Test {
 protected:
  void wait_for(const std::vector<std::string>& names) {
    room_.line.emplace();
    for (const std::string& name : names) {
      room_.line->waiting.emplace_back(name);
    }
  }

  void start() {
    thread_ = std::jthread([this](const std::stop_token& stop) { announcer_.run(stop); });
  }

  void stop() { thread_ = {}; }

  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const auto& post : reporter_.posts()) {
      EXPECT_FALSE(post.is_status);
      EXPECT_EQ(post.type, domain::LogType::info);
      lines.push_back(post.deployment + ": " + post.text);
    }
    return lines;
  }

  [[nodiscard]] bool eventually(const std::function<bool()>& condition) const {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) {
        return false;
      }
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }

  FakeRoom room_;
  fakes::FakeReporter reporter_;
  ports::Metrics metrics_;
  std::atomic<bool> may_post_ = true;
  std::atomic<int> asked_ = 0;
  WaitingAnnouncer announcer_{room_,
                              reporter_,
                              {.may_post =
                                   [this] {
                                     ++asked_;
                                     return may_post_.load();
                                   },
                               .interval = 1ms,
                               .patience = 1ms},
                              metrics_,
                              fakes::null_log()};
  std::jthread thread_;
};

TEST_F(WaitingAnnouncerTest, EachThatStillWaitsIsToldOnce) {
  wait_for({"a", "b", "c", "d"});
  room_.taken = {"b"};
  reporter_.refuse = [](const std::string& words) -> std::optional<Error> {
    return words.contains("3rd") ? std::optional(Error{.kind = ErrorKind::not_found})
                                 : std::nullopt;
  };
  start();
  ASSERT_TRUE(eventually([this] { return lines().size() == 2; }));
  ASSERT_TRUE(room_.looked_at(room_.looks() + 20));
  stop();
  EXPECT_EQ(lines(), (std::vector<std::string>{"a: Waiting: 1st in the queue",
                                               "d: Waiting: 4th in the queue"}));
  EXPECT_EQ(reporter_.refusals(), 1) << "what the platform does not know is left alone";
  EXPECT_TRUE(metrics_.render().contains(R"(kind="waiting",result="ok"} 2)")) << metrics_.render();
}

TEST_F(WaitingAnnouncerTest, AFailureEndsTheRoundAndIsWaitedOut) {
  wait_for({"a", "b", "c"});
  std::atomic<int> posts = 0;
  reporter_.on_post = [&](const std::stop_token&) { ++posts; };
  reporter_.fail_next(Error{.kind = ErrorKind::unavailable, .retry_after = 60s});
  start();
  ASSERT_TRUE(eventually([&] { return posts > 0; }));
  stop();
  EXPECT_EQ(posts, 1) << "the others were posted at a platform that is away";
  EXPECT_TRUE(lines().empty());
}

TEST_F(WaitingAnnouncerTest, NothingIsAskedNorSaidWhileThePlatformIsAway) {
  wait_for({"a"});
  may_post_ = false;
  start();
  ASSERT_TRUE(eventually([this] { return asked_ > 10; }));
  EXPECT_EQ(room_.looks(), 0) << "it would keep one that reaches the platform from speaking";
  may_post_ = true;
  EXPECT_TRUE(eventually([this] { return lines().size() == 1; }));
}

TEST_F(WaitingAnnouncerTest, WhatBuildsTookIsToldToTheQueueOnce) {
  announcer_.built(3s);
  announcer_.built(4s);
  start();
  ASSERT_TRUE(room_.looked_at(5));
  stop();
  EXPECT_EQ(room_.told, (std::vector<milliseconds>{3s, 4s}));
}

}  // namespace
}  // namespace builder::work
