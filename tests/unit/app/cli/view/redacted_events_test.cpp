#include "app/cli/view/redacted_events.hpp"

#include "app/cli/view/output_lines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

namespace builder::app::cli {
namespace {

using ::testing::ElementsAre;

class Recorder final : public BuildView {
 public:
  void emit(domain::BuildEvent event) override {
    if (const auto* output = std::get_if<domain::StepOutput>(&event)) {
      text += output->data;
    } else if (const auto* message = std::get_if<domain::Message>(&event)) {
      text += message->text;
    } else if (const auto* ended = std::get_if<domain::StepFinished>(&event)) {
      text += "[end " + ended->error + "]";
    } else if (const auto* activity = std::get_if<domain::Activity>(&event)) {
      text += activity->transfer ? activity->transfer->name : "";
    }
  }

  void finish(const BuildSummary& summary) override { last = summary; }

  std::string text;
  BuildSummary last;
};

class RedactedEventsTest : public ::testing::Test {
 protected:
  Recorder view_;
  SecretStore store_;
  const SecretStore::Registration secrets_ =
      store_.add_deployment({{"token", Secret("hunter22-Xq7Tz9")}});
  RedactedEvents events_{view_, secrets_};
};

TEST_F(RedactedEventsTest, NoSecretPassesHoweverItIsCut) {
  events_.info("with hunter22-Xq7Tz9 in it; ");
  events_.emit(domain::StepOutput{.step = 1, .is_stderr = false, .data = "says hunter2"});
  events_.emit(domain::StepOutput{.step = 2, .is_stderr = false, .data = "another\n"});
  events_.emit(domain::StepOutput{.step = 1, .is_stderr = false, .data = "2-Xq7Tz9 aloud\n"});
  events_.emit(domain::StepFinished{.step = 1, .name = "RUN", .error = "hunter22-Xq7Tz9"});
  BuildSummary summary;
  summary.result = "failed with hunter22-Xq7Tz9";
  summary.details = {"hunter22-Xq7Tz9"};
  events_.finish(summary);
  EXPECT_EQ(view_.text.find("hunter22"), std::string::npos) << view_.text;
  EXPECT_NE(view_.text.find("[REDACTED] aloud\n"), std::string::npos) << view_.text;
  EXPECT_EQ(view_.last.result, "failed with [REDACTED]");
  EXPECT_EQ(view_.last.details, std::vector<std::string>{"[REDACTED]"});
  EXPECT_EQ(view_.last.steps.at(0).error, "[REDACTED]");
}

TEST_F(RedactedEventsTest, HidesWhatBecomesASecretLater) {
  store_.add_forever({{"password for h", Secret("gT7-pQ2xW9.zLm4vK8s")}});
  events_.info("says gT7-pQ2xW9.zLm4vK8s");
  EXPECT_EQ(view_.text, "says [REDACTED]");
}

TEST_F(RedactedEventsTest, HidesThemInTheNamesOfTransfers) {
  events_.emit(domain::Activity{
      .line = {}, .transfer = domain::Transfer{.step = 1, .name = "at hunter22-Xq7Tz9"}});
  EXPECT_EQ(view_.text, "at [REDACTED]");
}

TEST_F(RedactedEventsTest, WhatAStepHeldBackComesBeforeItsEnd) {
  events_.emit(domain::StepOutput{.step = 1, .is_stderr = true, .data = "ends in hunter22"});
  events_.emit(domain::StepFinished{.step = 1, .name = "RUN"});
  EXPECT_EQ(view_.text, "ends in hunter22[end ]");
}

TEST_F(RedactedEventsTest, TheSummaryHasTheStepsInOrder) {
  events_.emit(domain::StepFinished{.step = 2, .name = "second", .cached = true});
  events_.emit(
      domain::StepFinished{.step = 1, .name = "first", .duration = std::chrono::milliseconds(7)});
  events_.finish({});
  ASSERT_EQ(view_.last.steps.size(), 2U);
  EXPECT_EQ(view_.last.steps[0].name, "first");
  EXPECT_EQ(view_.last.steps[0].duration, std::chrono::milliseconds(7));
  EXPECT_TRUE(view_.last.steps[1].cached);
}

TEST(OutputLines, MakesRowsThatAreSafeToShow) {
  std::vector<std::string> rows;
  OutputLines lines([&](std::uint32_t step, bool is_stderr, const std::string& row) {
    rows.push_back(std::to_string(step) + (is_stderr ? "e " : " ") + row);
  });
  lines.feed({.step = 1, .is_stderr = false, .data = "one\x1b[2J\ntw"});
  lines.feed({.step = 2, .is_stderr = true, .data = "\x1b[31mred\x1b[0m\xff\n"});
  EXPECT_TRUE(lines.is_mixed());
  lines.feed({.step = 1, .is_stderr = false, .data = "o"});
  EXPECT_THAT(rows, ElementsAre("1 one", "2e red\xEF\xBF\xBD"));
  lines.end(1);
  EXPECT_FALSE(lines.is_mixed());
  lines.feed({.step = 2, .is_stderr = false, .data = "rest"});
  lines.end_all();
  EXPECT_THAT(rows, ElementsAre("1 one", "2e red\xEF\xBF\xBD", "1 two", "2 rest"));
  EXPECT_EQ(shown_row("a\x1b]0;title\x07 b\n"), "a b");
}

}  // namespace
}  // namespace builder::app::cli
