#include "work/isolation.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace builder::work {
namespace {

using namespace std::chrono_literals;
using Kind = Isolation::Kind;

/// A deployment on a thread of its own, which begins, clears and ends when it is told.
class Deployment {
 public:
  Deployment(Isolation& isolation, Kind kind)
      : pass_(std::make_unique<Isolation::Pass>(isolation, kind)),
        thread_([this](const std::stop_token& stop) {
          pass_->begin(stop);
          began_ = true;
          if (clear_.get_future().get()) {
            pass_->cleared(stop);
            cleared_ = true;
            end_.get_future().wait();
          }
          pass_.reset();
        }) {}

  ~Deployment() { end(); }

  [[nodiscard]] bool began() const { return soon(began_); }

  [[nodiscard]] bool waits() const {
    std::this_thread::sleep_for(20ms);
    return !began_;
  }

  void clear() { clear_.set_value(true); }

  [[nodiscard]] bool is_cleared() const { return soon(cleared_); }

  [[nodiscard]] bool waits_for_others() const {
    std::this_thread::sleep_for(20ms);
    return !cleared_;
  }

  void stop() { thread_.request_stop(); }

  void end() {
    if (thread_.joinable()) {
      thread_.request_stop();
      try {
        clear_.set_value(false);
      } catch (const std::future_error&) {
      }
      try {
        end_.set_value();
      } catch (const std::future_error&) {
      }
      thread_.join();
    }
  }

 private:
  static bool soon(const std::atomic<bool>& flag) {
    for (int i = 0; i < 5'000 && !flag; ++i) {
      std::this_thread::sleep_for(1ms);
    }
    return flag;
  }

  std::unique_ptr<Isolation::Pass> pass_;
  std::atomic<bool> began_ = false;
  std::atomic<bool> cleared_ = false;
  std::promise<bool> clear_;
  std::promise<void> end_;
  std::jthread thread_;
};

TEST(Isolation, OrdinaryOnesRunSideBySide) {
  Isolation isolation;
  Deployment a(isolation, Kind::ordinary);
  Deployment b(isolation, Kind::ordinary);
  EXPECT_TRUE(a.began() && b.began());
  a.clear();
  EXPECT_TRUE(a.is_cleared());
}

TEST(Isolation, OfASuspectIsReadWhileNothingElseRuns) {
  Isolation isolation;
  Deployment before(isolation, Kind::ordinary);
  ASSERT_TRUE(before.began());
  Deployment suspect(isolation, Kind::suspect);
  EXPECT_TRUE(suspect.waits());
  Deployment behind(isolation, Kind::ordinary);
  EXPECT_TRUE(behind.waits());
  before.end();
  EXPECT_TRUE(suspect.began());
  EXPECT_TRUE(behind.waits());
  suspect.clear();
  EXPECT_TRUE(suspect.is_cleared());
  EXPECT_TRUE(behind.began()) << "what is left is built beside others";
}

TEST(Isolation, SuspectsAreReadOneByOneAndThenBuildTogether) {
  Isolation isolation;
  Deployment a(isolation, Kind::suspect);
  ASSERT_TRUE(a.began());
  EXPECT_TRUE(isolation.is_closed()) << "an attempt of the next would count";
  a.clear();
  while (isolation.is_closed()) {
    std::this_thread::yield();
  }
  Deployment b(isolation, Kind::suspect);
  EXPECT_TRUE(b.began());
  EXPECT_TRUE(isolation.is_closed());
  EXPECT_TRUE(a.waits_for_others());
  b.clear();
  EXPECT_TRUE(a.is_cleared() && b.is_cleared());
}

TEST(Isolation, ASuspectThatFailsHoldsUpNobody) {
  Isolation isolation;
  Deployment a(isolation, Kind::suspect);
  ASSERT_TRUE(a.began());
  a.clear();
  ASSERT_TRUE(a.is_cleared());
  a.end();
  Deployment b(isolation, Kind::suspect);
  ASSERT_TRUE(b.began());
  b.end();
  Deployment c(isolation, Kind::ordinary);
  EXPECT_TRUE(c.began());
}

TEST(Isolation, TheLastAttemptIsAloneToItsEnd) {
  Isolation isolation;
  Deployment suspect(isolation, Kind::suspect);
  ASSERT_TRUE(suspect.began());
  Deployment last(isolation, Kind::last);
  Deployment another(isolation, Kind::last);
  suspect.clear();
  ASSERT_TRUE(suspect.is_cleared());
  EXPECT_TRUE(last.waits() && another.waits());
  EXPECT_TRUE(isolation.is_closed());
  suspect.end();
  std::this_thread::sleep_for(20ms);
  // One of the two.
  Deployment ordinary(isolation, Kind::ordinary);
  EXPECT_TRUE(ordinary.waits());
  last.end();
  another.end();
  EXPECT_TRUE(ordinary.began());
  EXPECT_FALSE(isolation.is_closed());
}

TEST(Isolation, OneThatRestsHoldsUpNobody) {
  Isolation isolation;
  Isolation::Pass resting(isolation, Isolation::Kind::last);
  resting.begin({});
  EXPECT_TRUE(isolation.is_closed());
  resting.rest();
  EXPECT_FALSE(isolation.is_closed());
  Isolation::Pass suspect(isolation, Isolation::Kind::suspect);
  suspect.begin({});
  EXPECT_TRUE(isolation.is_closed()) << "it is read";
}

TEST(Isolation, AStopEndsTheWaiting) {
  Isolation isolation;
  Deployment running(isolation, Kind::ordinary);
  ASSERT_TRUE(running.began());
  for (const Kind kind : {Kind::suspect, Kind::last}) {
    Deployment waiting(isolation, kind);
    EXPECT_TRUE(waiting.waits());
    waiting.stop();
    EXPECT_TRUE(waiting.began());
    waiting.end();
    Deployment ordinary(isolation, Kind::ordinary);
    EXPECT_TRUE(ordinary.began()) << "nothing is left of the one that was stopped";
  }
}

}  // namespace
}  // namespace builder::work
