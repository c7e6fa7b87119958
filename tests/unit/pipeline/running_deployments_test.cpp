#include "pipeline/running_deployments.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace builder::pipeline {
namespace {

using domain::DeploymentId;
using domain::ServiceId;
using ports::StopReason;
using namespace std::chrono_literals;

TEST(RunningDeployments, ANewerDeploymentOfTheServiceStopsTheOlder) {
  RunningDeployments running;
  const auto old_one = running.enter(DeploymentId("a"), ServiceId("s"));
  const auto other = running.enter(DeploymentId("o"), ServiceId("t"));
  const auto new_one = running.enter(DeploymentId("b"), ServiceId("s"));
  EXPECT_EQ(old_one->reason(), StopReason::superseded);
  EXPECT_EQ(other->reason(), StopReason::none);
  EXPECT_EQ(new_one->reason(), StopReason::none);
}

TEST(RunningDeployments, TheNewerOneWaitsUntilTheOlderHasLeft) {
  RunningDeployments running;
  running.enter(DeploymentId("a"), ServiceId("s"));
  running.enter(DeploymentId("b"), ServiceId("s"));
  std::atomic<bool> turn = false;
  std::jthread newer([&] {
    running.wait_for_turn(DeploymentId("b"));
    turn = true;
  });
  EXPECT_FALSE(turn);
  running.leave(DeploymentId("a"));
  newer.join();
  EXPECT_TRUE(turn);
}

TEST(RunningDeployments, TheSameDeploymentEntersOnce) {
  RunningDeployments running;
  EXPECT_NE(running.enter(DeploymentId("a"), ServiceId("s")), nullptr);
  EXPECT_EQ(running.enter(DeploymentId("a"), ServiceId("s")), nullptr);
}

TEST(RunningDeployments, TheFirstReasonToStopStands) {
  RunningDeployments running;
  const auto cancellation = running.enter(DeploymentId("a"), ServiceId("s"));
  EXPECT_TRUE(running.stop(DeploymentId("a"), StopReason::cancelled_by_user));
  running.stop_all(StopReason::shutdown);
  EXPECT_EQ(cancellation->reason(), StopReason::cancelled_by_user);
  EXPECT_FALSE(running.stop(DeploymentId("x"), StopReason::cancelled_by_user));
}

TEST(RunningDeployments, AQueuedJobDoesNotSupersedeItself) {
  RunningDeployments running;
  const auto cancellation = running.enter(DeploymentId("a"), ServiceId("s"));
  running.supersede(ServiceId("s"), DeploymentId("a"));
  EXPECT_EQ(cancellation->reason(), StopReason::none);
  running.supersede(ServiceId("s"), DeploymentId("b"));
  EXPECT_EQ(cancellation->reason(), StopReason::superseded);
}

TEST(RunningDeployments, WaitingForASlotEndsAtTheDeadlineAndOnStop) {
  RunningDeployments running;
  running.enter(DeploymentId("a"), ServiceId("s"));
  const auto now = std::chrono::steady_clock::now();
  EXPECT_FALSE(running.wait_for_fewer_than(1, now + 5ms, {}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(running.wait_for_fewer_than(1, now + 1h, stop.get_token()));
  EXPECT_TRUE(running.wait_for_fewer_than(2, now, {}));
}

}  // namespace
}  // namespace builder::pipeline
