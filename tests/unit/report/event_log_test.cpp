#include "report/event_log.hpp"

#include "fakes/fake_lease.hpp"
#include "fakes/fake_reporter.hpp"
#include "fakes/fake_steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <thread>

namespace builder::report {
namespace {

using domain::Message;
using domain::StepFinished;
using domain::StepOutput;
using domain::StepStarted;
using testing::ElementsAre;
using namespace std::chrono_literals;

class EventLogTest : public testing::Test {
 protected:
  /// "TYPE text" of every row, once all of them are delivered.
  std::vector<std::string> rows() {
    log_.finish();
    EXPECT_TRUE(channel_.status({}, {}, std::chrono::steady_clock::now() + 30s));
    std::vector<std::string> rows;
    for (const auto& post : reporter_.posts()) {
      std::istringstream lines(post.is_status ? "" : post.text);
      for (std::string line; std::getline(lines, line);) {
        rows.push_back(std::string(to_string(post.type)) + " " + line);
      }
    }
    return rows;
  }

  fakes::FakeReporter reporter_;
  ports::Metrics metrics_;
  SecretStore store_;
  SecretStore::Registration secrets_ = store_.add_deployment({{"s", Secret("the-secret-value")}});
  DeploymentChannel channel_{
      reporter_, domain::DeploymentId("d1"), std::make_shared<fakes::FakeLease>(), {.linger = 1ms},
      metrics_,  fakes::null_log()};
  EventLog log_{channel_, secrets_};
};

TEST_F(EventLogTest, StepsShowTheirBeginTheirOutputAndTheirEnd) {
  log_.emit(StepStarted{1, "[1/2] FROM busybox"});
  log_.emit(StepFinished{1, "[1/2] FROM busybox", true, "", {}});
  log_.emit(StepStarted{2, "[2/2] RUN x"});
  log_.emit(StepOutput{2, false, "one\ntw"});
  log_.emit(StepOutput{2, true, "warn\n"});
  log_.emit(StepOutput{2, false, "o"});
  log_.emit(StepFinished{2, "[2/2] RUN x", false, "exit code: 1", 2500ms});
  EXPECT_THAT(rows(), ElementsAre("INFO #1 [1/2] FROM busybox", "INFO #1 CACHED",
                                  "INFO #2 [2/2] RUN x", "STDOUT one", "STDERR warn", "STDOUT two",
                                  "ERROR #2 ERROR: exit code: 1"));
}

TEST_F(EventLogTest, WhatIsHeldBackComesInItsOrderOrNotAtAll) {
  log_.hold();
  log_.emit(Message{domain::LogType::info, "one"});
  EXPECT_TRUE(reporter_.posts().empty());
  log_.release();
  log_.emit(Message{domain::LogType::info, "two"});
  log_.hold();
  log_.emit(Message{domain::LogType::info, "three"});
  log_.discard();
  log_.emit(Message{domain::LogType::info, "four"});
  EXPECT_THAT(rows(), ElementsAre("INFO one", "INFO two"));
}

TEST_F(EventLogTest, TheEnginesOwnStepsShowOnlyWhenSlowOrFailed) {
  for (const auto& [step, error, took] : {std::tuple{1u, "", 10ms}, std::tuple{2u, "", 1500ms},
                                          std::tuple{3u, "no such image", 10ms}}) {
    log_.emit(StepStarted{step, "[internal] load"});
    log_.emit(StepFinished{step, "[internal] load", false, error, took});
  }
  EXPECT_THAT(rows(), ElementsAre("INFO #2 [internal] load DONE 1.5s",
                                  "ERROR #3 [internal] load ERROR: no such image"));
}

TEST_F(EventLogTest, RowsOfStepsThatPrintSideBySideSayWhichStepTheyBelongTo) {
  log_.emit(StepStarted{1, "a"});
  log_.emit(StepStarted{2, "b"});
  log_.emit(StepOutput{1, false, "alone\n"});
  log_.emit(StepOutput{2, false, "two\n"});
  log_.emit(StepOutput{1, false, "one\n"});
  log_.emit(StepFinished{2, "b", false, "", 0ms});
  log_.emit(StepOutput{1, false, "alone again\n"});
  EXPECT_THAT(rows(), ElementsAre("INFO #1 a", "INFO #2 b", "STDOUT alone", "STDOUT #2 two",
                                  "STDOUT #1 one", "INFO #2 DONE 0.0s", "STDOUT alone again"));
}

TEST_F(EventLogTest, OutputThatTheEngineLostMakesTheLogIncomplete) {
  log_.emit(StepOutput{1, false, "one\n"});
  log_.emit(domain::OutputLost{"The engine clipped it."});
  log_.finish();
  ports::StatusUpdate update;
  update.status = ports::DeploymentStatus::builded;
  ASSERT_TRUE(channel_.status(update, {}, std::chrono::steady_clock::now() + 30s));
  const std::string text = reporter_.log_text();
  EXPECT_TRUE(text.contains("one\nThe engine clipped it.\n")) << text;
  EXPECT_TRUE(text.ends_with("Log incomplete: 2 lines, and the build engine dropped some output\n"))
      << text;
}

TEST_F(EventLogTest, WhatAStepThatNeverEndedHadWrittenIsShown) {
  log_.emit(StepOutput{7, false, "no begin, no line end"});
  EXPECT_THAT(rows(), ElementsAre("STDOUT no begin, no line end"));
  EXPECT_EQ(rows().size(), 1u) << "finishing twice shows nothing twice";
}

TEST_F(EventLogTest, NoSecretGoesThroughWhateverCarriesIt) {
  log_.emit(StepStarted{1, "RUN echo the-secret-value"});
  log_.emit(StepOutput{1, false, "the-sec"});
  log_.emit(StepOutput{1, false, "ret-value\n"});
  log_.emit(StepFinished{1, "x", false, "process \"the-secret-value\" failed", 0ms});
  log_.info("cloning the-secret-value");
  for (const std::string& row : rows()) {
    EXPECT_FALSE(row.contains("secret")) << row;
    EXPECT_TRUE(row.contains("[REDACTED]")) << row;
  }
}

TEST_F(EventLogTest, TextOfStrangersInOurOwnLinesIsCleanedLikeTheirOutput) {
  log_.emit(StepStarted{1, "RUN x\x1b[2J\x1b]0;t\x07\xff"});
  log_.warning("a\nb\r\nc");
  EXPECT_THAT(rows(), ElementsAre("INFO #1 RUN x\uFFFD", "WARNING a", "WARNING b", "WARNING c"));
}

TEST_F(EventLogTest, EveryThreadsLinesKeepTheirOrder) {
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t step = 1; step <= 3; ++step) {
      threads.emplace_back([&, step] {
        for (int line = 0; line < 300; ++line) {
          log_.emit(StepOutput{step, false, std::to_string(line) + "\n"});
        }
      });
    }
  }
  std::map<std::string, int> next;
  for (const std::string& row : rows()) {
    const std::size_t hash = row.find('#');
    const std::string step = hash == std::string::npos ? "?" : row.substr(hash, 2);
    const int line = std::stoi(row.substr(row.rfind(' ')));
    if (step != "?") {
      EXPECT_GE(line, next[step]) << row;
      next[step] = line + 1;
    }
  }
}

}  // namespace
}  // namespace builder::report
