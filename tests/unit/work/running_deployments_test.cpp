#include "work/running_deployments.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace builder::work {
namespace {

using domain::DeploymentId;
using ports::StopReason;
using namespace std::chrono_literals;

TEST(RunningDeployments, TheSameDeploymentWaitsUntilItsOlderBuildHasLeft) {
  RunningDeployments running;
  const auto old_one = running.enter(DeploymentId("a"));
  const auto other = running.enter(DeploymentId("b"));
  const auto new_one = running.enter(DeploymentId("a"));
  running.wait_for_turn(other);
  std::atomic<bool> turn = false;
  std::jthread newer([&] {
    running.wait_for_turn(new_one);
    turn = true;
  });
  EXPECT_FALSE(turn);
  running.leave(old_one);
  newer.join();
  EXPECT_TRUE(turn);
  EXPECT_EQ(running.count(), 2u);
}

TEST(RunningDeployments, TheFirstReasonToStopStands) {
  RunningDeployments running;
  const auto cancellation = running.enter(DeploymentId("a"));
  EXPECT_TRUE(running.stop(DeploymentId("a"), StopReason::cancelled_by_user));
  running.stop_all(StopReason::shutdown);
  EXPECT_EQ(cancellation->reason(), StopReason::cancelled_by_user);
  EXPECT_FALSE(running.stop(DeploymentId("x"), StopReason::cancelled_by_user));
}

TEST(RunningDeployments, AStopReachesEveryBuildOfTheDeployment) {
  RunningDeployments running;
  const auto old_one = running.enter(DeploymentId("a"));
  const auto new_one = running.enter(DeploymentId("a"));
  running.stop(DeploymentId("a"), StopReason::superseded);
  EXPECT_EQ(old_one->reason(), StopReason::superseded);
  EXPECT_EQ(new_one->reason(), StopReason::superseded);
}

TEST(RunningDeployments, WaitingForASlotEndsAtTheDeadlineAndOnStop) {
  RunningDeployments running;
  running.enter(DeploymentId("a"));
  const auto now = std::chrono::steady_clock::now();
  EXPECT_FALSE(running.wait_for_fewer_than(1, now + 5ms, {}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(running.wait_for_fewer_than(1, now + 1h, stop.get_token()));
  EXPECT_TRUE(running.wait_for_fewer_than(2, now, {}));
}

}  // namespace
}  // namespace builder::work
