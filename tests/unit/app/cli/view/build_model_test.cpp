#include "app/cli/view/build_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace builder::app::cli {
namespace {

using namespace std::chrono_literals;
using domain::Activity;
using domain::LogType;
using domain::Message;
using domain::StepFinished;
using domain::StepOutput;
using domain::StepStarted;
using domain::Transfer;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = HistoryRow::Kind;

class Model : public testing::Test {
 protected:
  void at(std::chrono::milliseconds time, const domain::BuildEvent& event) {
    model_.apply(event, SteadyTime() + time);
  }

  std::vector<std::string> history() {
    std::vector<std::string> rows;
    for (const HistoryRow& row : model_.take_history()) {
      const char* kinds[] = {"done", "cached", "failed", "stopped", "message"};
      rows.push_back(std::string(kinds[static_cast<int>(row.kind)]) + " " + row.text);
    }
    return rows;
  }

  BuildModel model_{SteadyTime()};
};

TEST_F(Model, FoldsWhatHasEndedAndTellsItOnce) {
  at(0s, StepStarted{1, "RUN a"});
  at(0s, StepStarted{2, "RUN b"});
  at(1s, StepFinished{2, "RUN b", true, "", 1s});
  EXPECT_THAT(history(), ElementsAre("cached RUN b"));
  EXPECT_THAT(history(), IsEmpty());
  EXPECT_EQ(model_.running().size(), 1U);
  at(2s, StepFinished{1, "RUN a", false, "", 2s});
  EXPECT_THAT(history(), ElementsAre("done RUN a"));
  EXPECT_EQ(model_.ended(), 2U);
  EXPECT_EQ(model_.cached(), 1U);
}

TEST_F(Model, TellsOfBookkeepingOnlyWhatIsWorthIt) {
  at(0s, StepFinished{1, "[internal] quick", false, "", 20ms});
  at(0s, StepFinished{2, "[internal] slow", false, "", 1s});
  at(0s, StepFinished{3, "[internal] broken", false, "no such file", 20ms});
  EXPECT_THAT(history(), ElementsAre("done [internal] slow", "failed [internal] broken"));
  EXPECT_EQ(model_.ended(), 0U);
}

TEST_F(Model, KeepsTheOutputOfWhatFailedAndOfNothingElse) {
  at(0s, StepStarted{1, "RUN a"});
  at(0s, StepStarted{2, "RUN b"});
  at(0s, StepStarted{3, "RUN c"});
  for (std::uint32_t step = 1; step <= 3; ++step) {
    at(1s, StepOutput{step, false, "of " + std::to_string(step) + "\n"});
  }
  at(2s, StepFinished{1, "RUN a", false, "", 2s});
  at(2s, StepFinished{2, "RUN b", false, "exit code: 1", 2s});
  at(2s, StepFinished{3, "RUN c", false, "rpc error: context canceled", 2s});
  EXPECT_THAT(history(), ElementsAre("done RUN a", "failed RUN b", "stopped RUN c"))
      << "the third one did nothing wrong";
  ASSERT_EQ(model_.failed_runs().size(), 1U);
  EXPECT_THAT(model_.failed_runs()[0].output.all(), ElementsAre("of 2"));
}

TEST_F(Model, GathersWarningsOnceAndCountsTheRest) {
  for (int i = 0; i < 150; ++i) {
    at(0s, Message{LogType::warning, "w " + std::to_string(i % 120)});
  }
  at(0s, domain::OutputLost{"lost"});
  EXPECT_EQ(model_.warnings().size(), BuildModel::k_most_warnings);
  EXPECT_GE(model_.all_warnings(), 121U);
  EXPECT_THAT(history(), IsEmpty());
}

TEST_F(Model, AddsUpTransfersAndTheirRate) {
  at(0s, StepStarted{1, "FROM x"});
  for (int tick = 1; tick <= 40; ++tick) {
    const auto sent = static_cast<std::uint64_t>(tick) * 100'000;
    at(tick * 100ms, Activity{.transfer = Transfer{1, "a", sent, 8'000'000, false}});
    at(tick * 100ms, Activity{.transfer = Transfer{1, "b", sent, 4'000'000, tick == 40}});
  }
  const RunningStep& step = model_.running().at(1);
  const TransferState all = step.transfers();
  EXPECT_EQ(all.current, 8'000'000U);
  EXPECT_EQ(all.total, 12'000'000U);
  EXPECT_EQ(all.parts, 2U);
  EXPECT_EQ(all.done, 1U);
  EXPECT_EQ(all.part, "a");
  EXPECT_NEAR(step.rate(SteadyTime() + 4s), 2e6, 2e5);
  EXPECT_LT(step.rate(SteadyTime() + 7s), 1.2e6) << "nothing has come for three seconds";
  EXPECT_EQ(step.rate(SteadyTime() + 20s), 0);
}

TEST_F(Model, KnowsNoTotalWhileOnePartHasNone) {
  at(0s, StepStarted{1, "FROM x"});
  at(0s, Activity{.transfer = Transfer{1, "a", 5, 10, false}});
  at(0s, Activity{.transfer = Transfer{1, "extracting", 0, 0, false}});
  EXPECT_EQ(model_.running().at(1).transfers().total, 10U);
  at(0s, Activity{.transfer = Transfer{1, "b", 7, 0, false}});
  EXPECT_EQ(model_.running().at(1).transfers().total, 0U);
}

TEST_F(Model, MakesNamesAndMessagesSafe) {
  at(0s, StepStarted{1, "RUN \x1b[2J a\n b"});
  at(0s, Message{LogType::info, "x\x1b]0;t\a"});
  at(0s, Message{LogType::warning, "y\x1b[1A"});
  at(0s, Message{LogType::error, "z\x9b"});
  EXPECT_EQ(model_.running().at(1).name(), "RUN a b");
  EXPECT_FALSE(history().front().contains('\x1b'));
  EXPECT_EQ(model_.warnings().front(), "y");
  EXPECT_EQ(model_.errors().front(), "z\uFFFD");
}

TEST_F(Model, StopsWhatRunsAtTheEnd) {
  at(0s, StepStarted{1, "RUN a"});
  at(0s, StepStarted{2, "[internal] load"});
  model_.stop_steps(SteadyTime() + 3s);
  EXPECT_THAT(history(), ElementsAre("stopped RUN a"));
  EXPECT_TRUE(model_.running().empty());
}

TEST_F(Model, IgnoresEventsOfStepsItDoesNotKnow) {
  at(0s, StepOutput{7, false, "x\n"});
  at(0s, Activity{.transfer = Transfer{7, "a", 1, 2, false}});
  EXPECT_TRUE(model_.running().empty());
}

}  // namespace
}  // namespace builder::app::cli
