#include "app/cli/view/screen.hpp"

#include "fakes/random_text.hpp"

#include "unit/app/cli/view/stage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace builder::app::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using ScreenRows = std::vector<std::string>;

constexpr Terminal k_terminal{.interactive = true, .columns = 20, .rows = 5};

TEST(Frame, WithoutAChangeIsNothing) {
  Screen screen;
  EXPECT_NE(screen.frame(k_terminal, {}, {"a"}), "");
  EXPECT_EQ(screen.frame(k_terminal, {}, {"a"}), "");
  EXPECT_NE(screen.frame(k_terminal, {"above"}, {"a"}), "");
  EXPECT_NE(screen.frame(k_terminal, {}, {"b"}), "");
  Terminal narrow = k_terminal;
  narrow.columns = 19;
  EXPECT_NE(screen.frame(narrow, {}, {"b"}), "");
}

TEST(Frame, LeavesNothingToRestore) {
  Screen screen;
  fakes::VirtualTerminal shown(20, 5);
  for (const std::string& bytes :
       {screen.frame(k_terminal, {"x"}, {"a", "b"}), screen.frame(k_terminal, {}, {"c"}),
        screen.end(k_terminal, {}, {"end"})}) {
    shown.write(bytes);
    EXPECT_TRUE(shown.is_at_rest());
    EXPECT_EQ(shown.cursor_column(), 0U);
    EXPECT_FALSE(bytes.contains("\x1b[2J")) << "it would flicker";
  }
  EXPECT_THAT(shown.all(), ElementsAre("x", "end"));
}

TEST(Frame, KeepsTheLastCharacterOfAFullRow) {
  Screen screen;
  fakes::VirtualTerminal shown(20, 5);
  const std::string full(20, 'x');
  shown.write(screen.frame(k_terminal, {full}, {full, "y"}));
  EXPECT_THAT(shown.all(), ElementsAre(full, full, "y"));
}

TEST(Frame, FindsItsBeginningWhenTheTerminalHasBrokenItsRows) {
  for (const bool reflows : {true, false}) {
    Screen screen;
    Terminal terminal{.interactive = true, .columns = 40, .rows = 12, .reflows = reflows};
    fakes::VirtualTerminal shown(40, 12, reflows);
    shown.write(screen.frame(terminal, {"done 1"}, {std::string(40, 'a'), std::string(30, 'b')}));
    shown.resize(25, 12);
    terminal.columns = 25;
    shown.write(screen.frame(terminal, {"done 2"}, {"c"}));
    EXPECT_THAT(shown.all(), ElementsAre("done 1", "done 2", "c")) << reflows;
    shown.resize(60, 12);
    terminal.columns = 60;
    shown.write(screen.frame(terminal, {"done 3"}, {"d"}));
    EXPECT_THAT(shown.all(), ElementsAre("done 1", "done 2", "done 3", "d")) << reflows;
  }
}

/// A random build, told to a stage; knows what has to be seen of it.
class RandomBuild {
 public:
  RandomBuild(unsigned seed, Stage& stage)
      : random(seed,
               {"word ", "\n", "\r", "\t", "\x1b[2J", "\x1b[31m", "\x1b]0;t\a", "\x9b", "日本",
                "e\u0301", "👍", "\xff", "\u202E", "\x1b[9A", "\x1b[?1049h", "long-long-long "}),
        stage_(stage) {}

  void step(std::chrono::milliseconds now) {
    switch (random.below(8)) {
      case 0:
      case 1:
        running_.push_back(++steps_);
        // Its number is seen whatever the width.
        stage_.apply(now, domain::StepStarted{steps_, name(steps_)});
        break;
      case 2:
        if (!running_.empty()) {
          const std::size_t at = random.below(running_.size());
          const std::uint32_t number = running_[at];
          running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(at));
          stage_.apply(now, domain::StepFinished{number, name(number), random.below(3) == 0,
                                                 random.below(9) == 0 ? "exit code: 1" : "",
                                                 std::chrono::milliseconds(random.below(100'000))});
          ended.push_back(number);
        }
        break;
      case 3:
        stage_.apply(now, domain::Message{domain::LogType::warning, random.make(8)});
        break;
      case 4:
        if (!running_.empty()) {
          stage_.apply(
              now, domain::Activity{.line = random.make(3),
                                    .transfer = domain::Transfer{
                                        running_[random.below(running_.size())], random.make(3),
                                        random.below(1'000'000'000), random.below(1'000'000'000),
                                        random.below(2) == 0}});
        }
        break;
      default:
        if (!running_.empty()) {
          stage_.apply(
              now, domain::StepOutput{running_[random.below(running_.size())], random.below(2) == 0,
                                      random.damage(random.make(30))});
        }
    }
  }

  fakes::RandomText random;
  std::vector<std::uint32_t> ended;

 private:
  std::string name(std::uint32_t number) {
    return "<" + std::to_string(number) + "> RUN " + random.make(6);
  }

  Stage& stage_;
  std::uint32_t steps_ = 0;
  std::vector<std::uint32_t> running_;
};

/// The numbers of the steps that have ended, as they stand in these rows. What a terminal keeps of
/// an old frame may stand before them in the same row.
std::vector<std::uint32_t> ended_in(const ScreenRows& rows) {
  std::vector<std::uint32_t> numbers;
  for (const std::string& row : rows) {
    for (std::size_t at = row.find(" <"); at != std::string::npos; at = row.find(" <", at + 1)) {
      const std::string before = row.substr(0, at);
      if (before.ends_with("✓") || before.ends_with("✗")) {
        numbers.push_back(static_cast<std::uint32_t>(std::stoul(row.substr(at + 2))));
      }
    }
  }
  return numbers;
}

void expect_safe(const Stage& stage) {
  EXPECT_TRUE(stage.shown.faults().empty()) << stage.shown.faults().front();
  EXPECT_TRUE(stage.shown.is_at_rest());
}

TEST(RandomBuilds, LeaveEachRowOnceAndNothingButTheEnd) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    Stage stage(20 + seed * 7 % 90, 3 + seed * 5 % 30, true, seed % 2 == 0);
    RandomBuild build(seed, stage);
    auto now = 0ms;
    for (int i = 0; i < 150; ++i) {
      for (std::size_t some = build.random.below(5); some > 0; --some) {
        build.step(now);
      }
      now += std::chrono::milliseconds(100 + build.random.below(2'000));
      stage.draw(now);
      ASSERT_EQ(ended_in(stage.shown.all()), build.ended) << "while it runs";
      // What is drawn anew is at the end of the screen, and none of it has gone to the history.
      const ScreenRows live = live_rows(stage.terminal(), stage.model, SteadyTime() + now);
      ASSERT_LT(live.size(), stage.shown.rows());
      for (const std::string& row : stage.shown.scrollback()) {
        ASSERT_TRUE(row.starts_with("✓ ") || row.starts_with("✗ ")) << row;
      }
      ASSERT_EQ(stage.shown.all().size(), build.ended.size() + live.size());
    }
    BuildSummary summary{.result = build.random.make(20), .images = {build.random.make(3)}};
    summary.details = {build.random.make(9)};
    summary.steps = {{.name = build.random.make(9), .duration = 3s}};
    stage.finish(summary);
    expect_safe(stage);
    EXPECT_EQ(ended_in(stage.shown.all()), build.ended);
    for (const std::string& row : stage.shown.all()) {
      EXPECT_FALSE(row.starts_with("▸") || row.starts_with("  | ")) << row;
    }
  }
}

TEST(RandomBuilds, LoseNoRowWhenTheSizeChanges) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    Stage stage(80, 24, seed % 3 != 0);
    RandomBuild build(seed, stage);
    auto now = 0ms;
    for (int i = 0; i < 100; ++i) {
      build.step(now);
      now += 100ms;
      if (build.random.below(6) == 0) {
        stage.shown.resize(30 + build.random.below(80), 3 + build.random.below(30));
      }
      stage.draw(now);
      ASSERT_EQ(ended_in(stage.shown.lines()), build.ended);
    }
    stage.finish({.result = "the end"});
    expect_safe(stage);
    EXPECT_EQ(ended_in(stage.shown.lines()), build.ended);
    const ScreenRows screen = stage.shown.screen();
    EXPECT_TRUE(std::ranges::any_of(
        screen, [](const std::string& row) { return row.contains("Built in 0.0s"); }));
  }
}

TEST(RandomBuilds, SendLongLinesAndInvalidTextOnlyAsFarAsTheyFit) {
  Stage stage(40, 10);
  stage.apply(0s, domain::StepStarted{1, std::string(1'000'000, 'n')});
  stage.apply(0s, domain::StepOutput{1, false, std::string(1'048'576, '\xfe')});
  stage.apply(0s, domain::StepOutput{1, true, std::string(1'048'576, 'z')});
  stage.apply(0s, domain::Message{domain::LogType::info, std::string(1'000'000, 'm')});
  EXPECT_LT(stage.draw(1s).size(), 2'000U);
  expect_safe(stage);
}

}  // namespace
}  // namespace builder::app::cli
