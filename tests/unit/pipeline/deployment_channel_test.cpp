#include "pipeline/deployment_channel.hpp"

#include "fakes/fake_lease.hpp"
#include "fakes/fake_reporter.hpp"
#include "fakes/fake_steps.hpp"

#include <gtest/gtest.h>

#include <atomic>

namespace builder::pipeline {
namespace {

using domain::LogType;
using fakes::FakeReporter;
using ports::DeploymentStatus;
using ports::StatusUpdate;
using namespace std::chrono_literals;

class ChannelTest : public testing::Test {
 protected:
  void open(ChannelLimits limits = {.linger = std::chrono::milliseconds(1)}) {
    channel_.emplace(reporter_, domain::DeploymentId("d1"), lease_, limits, metrics_,
                     fakes::null_log());
  }

  Result<ports::StatusAnswer> post(DeploymentStatus status, std::stop_token stop = {}) {
    StatusUpdate update;
    update.status = status;
    return channel_->status(update, stop, std::chrono::steady_clock::now() + 30s);
  }

  FakeReporter reporter_;
  std::shared_ptr<fakes::FakeLease> lease_ = std::make_shared<fakes::FakeLease>();
  Metrics metrics_;
  std::optional<DeploymentChannel> channel_;
};

TEST_F(ChannelTest, LinesArriveInOrderAndBeforeTheStatus) {
  open();
  std::string expected;
  for (int i = 0; i < 5'000; ++i) {
    channel_->append(LogType::stdout_, "line " + std::to_string(i), {});
    expected += "line " + std::to_string(i) + "\n";
  }
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(reporter_.log_text(), expected);
  EXPECT_TRUE(reporter_.posts().back().is_status);
  EXPECT_LT(reporter_.posts().size(), 500u) << "lines were not batched";
}

TEST_F(ChannelTest, OnePostIsInFlightAtATime) {
  std::atomic<int> in_flight = 0;
  std::atomic<int> most = 0;
  reporter_.on_post = [&](const std::stop_token&) {
    most = std::max(most.load(), ++in_flight);
    std::this_thread::yield();
    --in_flight;
  };
  open();
  std::jthread other([&] {
    for (int i = 0; i < 500; ++i) {
      channel_->append(LogType::stderr_, "e", {});
    }
  });
  for (int i = 0; i < 500; ++i) {
    channel_->append(LogType::stdout_, "o", {});
  }
  other.join();
  ASSERT_TRUE(post(DeploymentStatus::failed));
  EXPECT_EQ(most, 1);
}

TEST_F(ChannelTest, ABatchHoldsOneTypeAndFitsThePost) {
  open({.post_bytes = 100, .linger = std::chrono::milliseconds(50)});
  for (int i = 0; i < 50; ++i) {
    channel_->append(i % 10 == 0 ? LogType::warning : LogType::stdout_, std::string(30, 'x'), {});
  }
  ASSERT_TRUE(post(DeploymentStatus::builded));
  for (const FakeReporter::Post& entry : reporter_.posts()) {
    EXPECT_LE(entry.text.size(), 100u);
  }
}

TEST_F(ChannelTest, ALongLineIsCutBetweenCharactersAndLosesNothing) {
  open({.post_bytes = 100, .linger = std::chrono::milliseconds(1)});
  std::string line;
  for (int i = 0; i < 200; ++i) {
    line += "\xE2\x82\xAC";  // Three bytes: a euro sign.
  }
  channel_->append(LogType::stdout_, line, {});
  ASSERT_TRUE(post(DeploymentStatus::builded));
  std::string joined;
  for (const FakeReporter::Post& entry : reporter_.posts()) {
    if (!entry.is_status) {
      EXPECT_EQ(entry.text.size() % 3, 0u);
      joined += entry.text;
    }
  }
  EXPECT_EQ(joined, line);
}

TEST_F(ChannelTest, AnEmptyLineBecomesASpace) {
  open();
  channel_->append(LogType::stdout_, "", {});
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(reporter_.posts().front().text, " ");
}

TEST_F(ChannelTest, AnUnavailableApiIsAskedAgainAndNothingIsLost) {
  reporter_.fail_next(ErrorKind::unavailable, 3);
  open();
  channel_->append(LogType::stdout_, "precious", {});
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(reporter_.log_text(), "precious\n");
}

TEST_F(ChannelTest, ARefusedStatusIsNotRepeated) {
  reporter_.fail_next(ErrorKind::not_found);
  open();
  const auto answer = post(DeploymentStatus::building);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::not_found);
  EXPECT_TRUE(reporter_.posts().empty());
}

TEST_F(ChannelTest, AStopEndsTheRepeatingOfAStatus) {
  reporter_.fail_next(ErrorKind::unavailable, 1'000);
  open();
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const auto answer = post(DeploymentStatus::builded, stop.get_token());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::cancelled);
}

TEST_F(ChannelTest, LinesKeptBackByACalledOffStatusComeWithTheNextOne) {
  reporter_.fail_next(ErrorKind::unavailable, 1);
  open();
  channel_->append(LogType::stdout_, "kept", {});
  std::stop_source stop;
  stop.request_stop();
  ASSERT_FALSE(post(DeploymentStatus::building, stop.get_token()));
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  EXPECT_EQ(reporter_.log_text(), "kept\n");
}

TEST_F(ChannelTest, AFullBufferHoldsTheBuildUntilThereIsRoom) {
  std::stop_source gate;
  reporter_.on_post = [&](const std::stop_token&) { sleep_for(1min, gate.get_token()); };
  open({.post_bytes = 100, .buffer_bytes = 1'000, .linger = std::chrono::milliseconds(1)});
  std::atomic<int> appended = 0;
  std::jthread build([&] {
    for (int i = 0; i < 100; ++i) {
      channel_->append(LogType::stdout_, std::string(49, 'x'), {});
      ++appended;
    }
  });
  while (appended < 20) {
    std::this_thread::yield();
  }
  EXPECT_LT(appended, 30);
  gate.request_stop();
  build.join();
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(reporter_.log_text().size(), 100u * 50u);
}

TEST_F(ChannelTest, NothingGoesOutAfterClose) {
  open();
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  channel_->close();
  channel_->append(LogType::stdout_, "late", {});
  EXPECT_FALSE(post(DeploymentStatus::builded));
  channel_.reset();
  EXPECT_EQ(reporter_.posts().size(), 1u);
}

TEST_F(ChannelTest, NothingIsPostedWhileTheLeaseDoesNotHold) {
  open();
  lease_->set(false);
  channel_->append(LogType::stdout_, "line", {});
  std::jthread poster([&] { EXPECT_TRUE(post(DeploymentStatus::builded)); });
  std::this_thread::sleep_for(20ms);  // Nothing can be waited for: nothing happens.
  EXPECT_TRUE(reporter_.posts().empty());
  lease_->set(true);
  poster.join();
  EXPECT_EQ(reporter_.posts().size(), 2u);
}

TEST_F(ChannelTest, ALostLeaseEndsAWaitingStatus) {
  open();
  lease_->set(false);
  std::jthread loser([&] { lease_->set(false, true); });
  EXPECT_EQ(post(DeploymentStatus::builded).error().kind, ErrorKind::conflict);
  EXPECT_TRUE(reporter_.posts().empty());
}

}  // namespace
}  // namespace builder::pipeline
