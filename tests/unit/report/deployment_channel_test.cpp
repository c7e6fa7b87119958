#include "report/deployment_channel.hpp"

#include "fakes/fake_lease.hpp"
#include "fakes/fake_reporter.hpp"
#include "fakes/fake_steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <sstream>
#include <thread>

namespace builder::report {
namespace {

using domain::LogType;
using fakes::FakeReporter;
using ports::DeploymentStatus;
using ports::StatusUpdate;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

class ChannelTest : public testing::Test {
 protected:
  void open(ChannelLimits limits = {.linger = std::chrono::milliseconds(1)}) {
    channel_.emplace(*current_, domain::DeploymentId("d1"), lease_, limits, metrics_,
                     fakes::null_log());
  }

  /// Another platform and its channel, for a test's next turn.
  FakeReporter& fresh() {
    channel_.reset();
    current_ = &further_.emplace_back();
    return *current_;
  }

  static std::function<std::optional<Error>(const std::string&)> refuses(
      std::string words, ErrorKind kind = ErrorKind::invalid_input) {
    return [words = std::move(words), kind](const std::string& text) {
      return text.contains(words)
                 ? std::optional(Error{.kind = kind, .message = "no", .effect = Effect::none})
                 : std::nullopt;
    };
  }

  Result<ports::StatusAnswer> post_failed(const std::string& why) {
    const StatusUpdate update{.status = DeploymentStatus::failed,
                              .error = why,
                              .log = domain::Message{LogType::error, why},
                              .image_uri = {}};
    return channel_->status(update, {}, std::chrono::steady_clock::now() + 30s);
  }

  Result<ports::StatusAnswer> post(DeploymentStatus status, std::stop_token stop = {}) {
    StatusUpdate update;
    update.status = status;
    return channel_->status(update, stop, std::chrono::steady_clock::now() + 30s);
  }

  [[nodiscard]] std::vector<std::string> rows() const {
    std::vector<std::string> rows;
    std::istringstream text(current_->log_text());
    for (std::string row; std::getline(text, row);) {
      rows.push_back(row);
    }
    return rows;
  }

  void append(int lines, std::string_view text = "line ") {
    for (int i = 0; i < lines; ++i) {
      channel_->append(LogType::stdout_, std::string(text) + std::to_string(i));
    }
  }

  FakeReporter reporter_;
  std::deque<FakeReporter> further_;
  FakeReporter* current_ = &reporter_;
  std::shared_ptr<fakes::FakeLease> lease_ = std::make_shared<fakes::FakeLease>();
  ports::Metrics metrics_;
  std::optional<DeploymentChannel> channel_;
};

TEST_F(ChannelTest, LinesArriveInOrderAndBeforeTheStatus) {
  open();
  std::string expected;
  for (int i = 0; i < 5'000; ++i) {
    channel_->append(LogType::stdout_, "line " + std::to_string(i));
    expected += "line " + std::to_string(i) + "\n";
  }
  expected += "Log complete: 5000 lines\n";
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
      channel_->append(LogType::stderr_, "e");
    }
  });
  for (int i = 0; i < 500; ++i) {
    channel_->append(LogType::stdout_, "o");
  }
  other.join();
  ASSERT_TRUE(post(DeploymentStatus::failed));
  EXPECT_EQ(most, 1);
}

TEST_F(ChannelTest, ABatchHoldsOneTypeAndFitsThePost) {
  open({.post_bytes = 100, .linger = std::chrono::milliseconds(50)});
  for (int i = 0; i < 50; ++i) {
    channel_->append(i % 10 == 0 ? LogType::warning : LogType::stdout_, std::string(30, 'x'));
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
  channel_->append(LogType::stdout_, line);
  ASSERT_TRUE(post(DeploymentStatus::builded));
  std::string joined;
  for (const FakeReporter::Post& entry : reporter_.posts()) {
    if (entry.type == LogType::stdout_) {
      EXPECT_EQ(entry.text.size() % 3, 0u);
      joined += entry.text;
    }
  }
  EXPECT_EQ(joined, line);
}

TEST_F(ChannelTest, AnEmptyLineBecomesASpace) {
  open();
  channel_->append(LogType::stdout_, "");
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(reporter_.posts().front().text, " ");
}

TEST_F(ChannelTest, AnUnavailableApiIsAskedAgainAndNothingIsLost) {
  reporter_.fail_next(ErrorKind::unavailable, 3);
  open();
  channel_->append(LogType::stdout_, "precious");
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows(), (Rows{"precious", "Log complete: 1 line; some lines may appear twice"}));
}

TEST_F(ChannelTest, WhatWasLostBeforeItCameHereIsSaidBesideWhatWasNotDelivered) {
  reporter_.fail_next({.kind = ErrorKind::invalid_input, .message = "413"});
  open();
  append(1);
  ASSERT_TRUE(post(DeploymentStatus::building));
  channel_->note_lost_output();
  append(2);
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows().back(),
            "Log incomplete: 1 of 3 lines is missing, 1 of them refused by the platform, and the "
            "build engine dropped some output");
}

TEST_F(ChannelTest, ARefusalIsAnsweredAgainWithoutADoubt) {
  reporter_.fail_next({.kind = ErrorKind::unavailable, .message = "429", .effect = Effect::none});
  open();
  append(1);
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows(), (Rows{"line 0", "Log complete: 1 line"}));
}

TEST_F(ChannelTest, AFinalStatusDoesNotWaitAsLongAsTheApiAsksALogTo) {
  reporter_.fail_next({.kind = ErrorKind::unavailable, .message = "429", .retry_after = 1h});
  open({.linger = 1ms, .final_flush = 100ms});
  append(1);
  const auto started = std::chrono::steady_clock::now();
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_LT(std::chrono::steady_clock::now() - started, 20s);
  EXPECT_EQ(rows().front(), "line 0");
}

TEST_F(ChannelTest, APlatformThatAsksForAPauseHasIt) {
  std::mutex mutex;
  std::vector<std::chrono::steady_clock::time_point> posts;
  reporter_.on_post = [&](const std::stop_token&) {
    const std::scoped_lock lock(mutex);
    posts.push_back(std::chrono::steady_clock::now());
  };
  reporter_.fail_next({.kind = ErrorKind::unavailable, .message = "429", .retry_after = 300ms});
  open();
  append(1);
  while (!metrics_.render().contains("retries_total{kind=\"log\"}")) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(post(DeploymentStatus::building));
  ASSERT_TRUE(post(DeploymentStatus::builded));
  ASSERT_GE(posts.size(), 3u);
  EXPECT_GE(posts[1] - posts[0], 300ms);
  EXPECT_EQ(rows().front(), "line 0");
}

TEST_F(ChannelTest, AnApiThatRecoversWhileAFinalStatusWaitsGetsTheWholeLog) {
  reporter_.fail_next({.kind = ErrorKind::unavailable, .message = "429", .effect = Effect::none},
                      12);
  open({.linger = 1ms, .final_flush = 3s});
  append(1'000);
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows().back(), "Log complete: 1000 lines");
}

TEST_F(ChannelTest, ACancelDoesNotWaitForABigBacklog) {
  reporter_.fail_next({.kind = ErrorKind::unavailable,
                       .message = "429",
                       .retry_after = 1h,
                       .effect = Effect::none});
  reporter_.on_post = [](const std::stop_token&) { std::this_thread::sleep_for(20ms); };
  open({.post_bytes = 1'000, .linger = 1ms});
  append(100'000);
  const auto started = std::chrono::steady_clock::now();
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  EXPECT_LT(std::chrono::steady_clock::now() - started, 10s);
  EXPECT_EQ(reporter_.posts().back().status, DeploymentStatus::cancelled);
  EXPECT_THAT(rows().back(),
              testing::MatchesRegex("Log incomplete: .* of 100000 lines are missing"));
}

TEST_F(ChannelTest, ACancelEndsTheWaitOfAnotherStatusForTheLog) {
  reporter_.fail_next({.kind = ErrorKind::unavailable, .message = "503", .effect = Effect::none},
                      1'000'000);
  open();
  append(10);
  std::stop_source cancel;
  std::jthread user([&] { cancel.request_stop(); });
  ASSERT_FALSE(post(DeploymentStatus::builded, cancel.get_token()));
}

TEST_F(ChannelTest, WhenTimeIsOverTheLastLinesAndTheirNumberStillGoOut) {
  std::atomic<bool> away = true;
  reporter_.on_post = [&](const std::stop_token&) {
    if (away) {
      reporter_.fail_next({.kind = ErrorKind::unavailable, .message = "", .effect = Effect::none});
    }
  };
  open({.post_bytes = 100, .linger = 1ms, .final_flush = 50ms});
  append(1'000);
  std::jthread poster([&] { EXPECT_TRUE(post(DeploymentStatus::builded)); });
  while (!metrics_.render().contains("retries_total{kind=\"status\"}")) {
    std::this_thread::yield();
  }
  away = false;
  poster.join();
  const Rows all = rows();
  ASSERT_GE(all.size(), 4u);
  EXPECT_THAT(all[0], testing::MatchesRegex(".9.. lines .* dropped: the platform did not .*"));
  EXPECT_EQ(all[all.size() - 2], "line 999");
  EXPECT_EQ(all.back(), "Log incomplete: " + std::to_string(1'000 - (all.size() - 2)) +
                            " of 1000 lines are missing");
  EXPECT_TRUE(reporter_.posts().back().is_status);
  EXPECT_TRUE(metrics_.render().contains("log_lines_dropped_total " +
                                         std::to_string(1'000 - (all.size() - 2))));
}

TEST_F(ChannelTest, WhileTheApiCannotBeReachedAtAllTheLogIsNotCut) {
  // For longer than the log is waited for, which is longer than a busy machine stands still.
  const auto back = std::chrono::steady_clock::now() + 1600ms;
  reporter_.on_post = [&](const std::stop_token&) {
    if (std::chrono::steady_clock::now() < back) {
      reporter_.fail_next(
          {.kind = ErrorKind::unavailable, .message = "refused", .effect = Effect::unreached});
    }
  };
  open({.post_bytes = 100, .linger = 1ms, .final_flush = 1s});
  append(100);
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows().size(), 101u);
  EXPECT_EQ(rows().back(), "Log complete: 100 lines");
}

TEST_F(ChannelTest, RefusedLinesAreCounted) {
  reporter_.fail_next(ErrorKind::invalid_input);
  open({.post_bytes = 20, .linger = 1ms});
  append(4, "a line of text ");
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows().back(),
            "Log incomplete: 1 of 4 lines is missing, 1 of them refused by the platform");
  EXPECT_TRUE(metrics_.render().contains("log_lines_dropped_total 1"));
}

TEST_F(ChannelTest, ARefusedLastLineHoldsUpNoStatus) {
  reporter_.refuse = refuses("Log complete");
  open({.linger = 1ms, .final_flush = 50ms});
  append(1);
  ASSERT_TRUE(post(DeploymentStatus::failed));
  EXPECT_EQ(rows(), Rows{"line 0"});
}

TEST_F(ChannelTest, OneBadRowIsFoundAndAllOthersGetThrough) {
  for (const ErrorKind kind : {ErrorKind::invalid_input, ErrorKind::internal}) {
    FakeReporter& reporter = fresh();
    reporter.refuse = refuses("/etc/passwd", kind);
    open({.linger = 50ms});
    append(300, "before ");
    append(1, "cat /etc/passwd ");
    append(300, "behind ");
    ASSERT_TRUE(post(DeploymentStatus::builded));
    const Rows all = rows();
    ASSERT_EQ(all.size(), 602u);
    EXPECT_EQ(all[299], "before 299");
    EXPECT_EQ(all[300], "[17 bytes dropped: the platform refuses this line]");
    EXPECT_EQ(all[301], "behind 0");
    EXPECT_EQ(all.back(),
              "Log incomplete: 1 of 601 lines is missing, 1 of them refused by the platform");
    EXPECT_LT(reporter.refusals(), 30) << "found by halving";
  }
}

TEST_F(ChannelTest, CharactersThatThePlatformCannotStoreAreEscaped) {
  const std::string rocket = "\xF0\x9F\x9A\x80";
  const std::string umlaut = "\xC3\xA4";
  reporter_.refuse = refuses(rocket, ErrorKind::internal);
  open({.linger = 50ms});
  append(100, umlaut + " before ");
  append(100, rocket + umlaut + " go ");
  append(100, "behind ");
  ASSERT_TRUE(post(DeploymentStatus::building));
  const int refusals = reporter_.refusals();
  append(1, rocket);
  ASSERT_TRUE(post(DeploymentStatus::builded));
  const Rows all = rows();
  ASSERT_EQ(all.size(), 302u);
  EXPECT_EQ(all[99], umlaut + " before 99") << "what can be stored stays";
  EXPECT_EQ(all[100], "\\u{1F680}" + umlaut + " go 0");
  EXPECT_EQ(all[199], "\\u{1F680}" + umlaut + " go 99");
  EXPECT_EQ(all[300], "\\u{1F680}0");
  EXPECT_EQ(all.back(), "Log complete: 301 lines");
  EXPECT_LT(refusals, 30) << "what was found once is not looked for again";
  EXPECT_EQ(reporter_.refusals(), refusals);
}

TEST_F(ChannelTest, APlatformThatTakesAsciiAloneGetsIt) {
  reporter_.refuse = refuses("\xC3\xA4", ErrorKind::internal);
  open();
  append(1, "\xC3\xA4");
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows(), (Rows{"\\u{E4}0", "Log complete: 1 line"}));
}

TEST_F(ChannelTest, SmallerPostsThanOursLoseNothing) {
  reporter_.refuse = [](const std::string& text) {
    return text.size() > 2'000
               ? std::optional(Error{
                     .kind = ErrorKind::invalid_input, .message = "413", .effect = Effect::none})
               : std::nullopt;
  };
  open({.linger = 50ms});
  append(1, std::string(9'000, 'x'));
  append(1'000, "a line of text ");
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows().back(), "Log complete: 1001 lines");
  std::string text = reporter_.log_text();
  EXPECT_EQ(std::ranges::count(text, 'x'), 9'000 + 1'000);
}

TEST_F(ChannelTest, WhileEverythingIsRefusedNoLineIsGivenUp) {
  for (const ErrorKind kind : {ErrorKind::invalid_input, ErrorKind::internal, ErrorKind::denied}) {
    FakeReporter& reporter = fresh();
    std::atomic<int> rounds = 0;  // Each ends with the notice, which is refused as well.
    reporter.refuse = [&, kind](const std::string& text) -> std::optional<Error> {
      if (rounds == 2) {
        return std::nullopt;
      }
      rounds += kind == ErrorKind::denied || text.starts_with('[') ? 1 : 0;
      return Error{.kind = kind, .message = "no", .effect = Effect::none};
    };
    open();
    append(3);
    while (rounds < 2) {
      std::this_thread::sleep_for(1ms);
    }
    auto posted = post(DeploymentStatus::builded);
    if (!posted && kind == ErrorKind::denied) {
      // The answer to a row that was on its way stood for the status as well.
      posted = post(DeploymentStatus::builded);
    }
    ASSERT_TRUE(posted) << posted.error().message;
    EXPECT_EQ(rows(), (Rows{"line 0", "line 1", "line 2", "Log complete: 3 lines"}));
  }
}

TEST_F(ChannelTest, AStatusThatIsRefusedForItsWordsGoesOutInPlainOnes) {
  for (const ErrorKind kind : {ErrorKind::invalid_input, ErrorKind::internal}) {
    FakeReporter& reporter = fresh();
    reporter.refuse = refuses("/etc/passwd", kind);
    open();
    append(1);
    ASSERT_TRUE(post_failed("RUN false /etc/passwd"));
    const auto posts = reporter.posts();
    EXPECT_EQ(posts.back().status, DeploymentStatus::failed);
    EXPECT_TRUE(posts.back().error.contains("did not take the reason")) << posts.back().error;
    EXPECT_EQ(posts.back().error, posts.back().text);
    EXPECT_EQ(rows().back(), "Log complete: 1 line");
  }
}

TEST_F(ChannelTest, APlatformThatBreaksOnceHearsTheRealReason) {
  reporter_.fail_next({.kind = ErrorKind::internal, .message = "500", .effect = Effect::none});
  open();
  ASSERT_TRUE(post_failed("why"));
  EXPECT_EQ(reporter_.posts().back().error, "why");
}

TEST_F(ChannelTest, AStatusThatIsRefusedInAnyWordsIsRepeated) {
  reporter_.fail_next({.kind = ErrorKind::invalid_input, .message = "403", .effect = Effect::none},
                      4);
  open();
  ASSERT_TRUE(post_failed("why"));
  EXPECT_EQ(reporter_.posts().back().error, "why");
}

TEST_F(ChannelTest, ARefusedKeyAnswersAStatusThatWaitsBehindTheLog) {
  reporter_.fail_next(ErrorKind::denied, 1'000);
  open();
  append(1);
  for (const DeploymentStatus status : {DeploymentStatus::building, DeploymentStatus::builded}) {
    const auto answer = post(status);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::denied);
  }
}

TEST_F(ChannelTest, TheLastLineComesOnceThoughTheStatusChanges) {
  std::stop_source stop;
  reporter_.on_post = [&](const std::stop_token&) {
    if (reporter_.posts().size() == 2 && !stop.stop_requested()) {  // BUILDED comes next.
      reporter_.fail_next(ErrorKind::unavailable);
      stop.request_stop();
    }
  };
  open();
  append(2);
  ASSERT_FALSE(post(DeploymentStatus::builded, stop.get_token()));
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  EXPECT_EQ(rows(), (Rows{"line 0", "line 1", "Log complete: 2 lines"}));
}

TEST_F(ChannelTest, TheBuildNeverWaitsForTheApi) {
  std::stop_source gate;
  reporter_.on_post = [&](const std::stop_token&) { sleep_for(10min, gate.get_token()); };
  open({.linger = 1ms, .backlog = {.memory = 200'000, .tail = 100'000, .spool_folder = {}}});
  const std::string text(90, 'x');
  append(100'000, text);
  gate.request_stop();
  ASSERT_TRUE(post(DeploymentStatus::builded));
  const Rows all = rows();
  EXPECT_EQ(all.front(), text + "0");
  EXPECT_EQ(all[all.size() - 2], text + "99999");
  const auto gap = std::ranges::count_if(all, [](auto& row) { return row.starts_with('['); });
  EXPECT_EQ(gap, 1);
  EXPECT_EQ(all.back(), "Log incomplete: " + std::to_string(100'000 - (all.size() - 2)) +
                            " of 100000 lines are missing");
}

TEST_F(ChannelTest, WithoutALineThereIsNoLastOne) {
  open();
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  EXPECT_TRUE(rows().empty());
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
  channel_->append(LogType::stdout_, "kept");
  std::stop_source stop;
  stop.request_stop();
  ASSERT_FALSE(post(DeploymentStatus::building, stop.get_token()));
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  EXPECT_EQ(rows(), (Rows{"kept", "Log complete: 1 line; some lines may appear twice"}));
}

TEST_F(ChannelTest, NothingGoesOutAfterClose) {
  open();
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  channel_->close();
  channel_->append(LogType::stdout_, "late");
  EXPECT_FALSE(post(DeploymentStatus::builded));
  channel_.reset();
  EXPECT_EQ(reporter_.posts().size(), 1u);
}

TEST_F(ChannelTest, NothingIsPostedWhileTheLeaseDoesNotHold) {
  open();
  lease_->set(false);
  channel_->append(LogType::stdout_, "line");
  std::jthread poster([&] { EXPECT_TRUE(post(DeploymentStatus::builded)); });
  std::this_thread::sleep_for(20ms);  // Nothing can be waited for: nothing happens.
  EXPECT_TRUE(reporter_.posts().empty());
  lease_->set(true);
  poster.join();
  EXPECT_EQ(reporter_.posts().size(), 3u);
}

TEST_F(ChannelTest, WhatTheReporterHoldsBackWaitsForTheLeaseAgain) {
  open();
  const Error held{.kind = ErrorKind::conflict, .message = "held back"};
  reporter_.fail_next(held, 3);
  channel_->append(LogType::stdout_, "line");
  ASSERT_TRUE(post(DeploymentStatus::builded));
  EXPECT_EQ(rows(), (Rows{"line", "Log complete: 1 line"}));
  // It slept past its lease.
  reporter_.fail_next(held);
  reporter_.on_post = [&](const std::stop_token&) { lease_->set(false, true); };
  EXPECT_EQ(post(DeploymentStatus::failed).error().kind, ErrorKind::conflict);
  EXPECT_EQ(reporter_.statuses("d1"), std::vector{DeploymentStatus::builded});
}

TEST_F(ChannelTest, AStopEndsAStatusBehindALineThatWaitsForTheLease) {
  open();
  lease_->set(false);
  append(1);
  std::this_thread::sleep_for(20ms);  // The line waits for the lease, with no status behind it.
  std::stop_source stop;
  std::atomic<bool> returned = false;
  std::jthread poster([&] {
    EXPECT_FALSE(post(DeploymentStatus::builded, stop.get_token()));
    EXPECT_FALSE(post(DeploymentStatus::builded, stop.get_token())) << "called off from the start";
    returned = true;
  });
  std::this_thread::sleep_for(20ms);
  stop.request_stop();
  const auto until = std::chrono::steady_clock::now() + 2s;
  while (!returned && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(returned);
  EXPECT_TRUE(reporter_.posts().empty());
  lease_->set(true);
  poster.join();
  ASSERT_TRUE(post(DeploymentStatus::cancelled));
  EXPECT_EQ(rows(), (Rows{"line 0", "Log complete: 1 line"}));
}

TEST_F(ChannelTest, ALeaseThatIsLostDuringTheLastWordsEndsTheStatusBehindThem) {
  open({.linger = 1ms, .final_flush = 0ms});
  reporter_.on_post = [&](const std::stop_token&) {
    if (reporter_.posts().size() == 1) {
      lease_->set(false, true);
    }
  };
  append(1);
  EXPECT_EQ(post(DeploymentStatus::builded).error().kind, ErrorKind::conflict);
  EXPECT_TRUE(reporter_.statuses("d1").empty());
}

TEST_F(ChannelTest, ALostLeaseEndsAWaitingStatus) {
  open();
  lease_->set(false);
  std::jthread loser([&] { lease_->set(false, true); });
  EXPECT_EQ(post(DeploymentStatus::builded).error().kind, ErrorKind::conflict);
  EXPECT_TRUE(reporter_.posts().empty());
}

}  // namespace
}  // namespace builder::report
