#include "build/step_tails.hpp"

#include "domain/failures/failure_rules.hpp"
#include "fakes/recording_events.hpp"

#include <gtest/gtest.h>

namespace builder::build {
namespace {

class StepTailsTest : public testing::Test {
 protected:
  void start(std::uint32_t step, std::string name) {
    tails_.emit(domain::StepStarted{step, std::move(name)});
  }

  void print(std::uint32_t step, std::string text) {
    tails_.emit(domain::StepOutput{step, false, std::move(text)});
  }

  void complain(std::uint32_t step, std::string text) {
    tails_.emit(domain::StepOutput{step, true, std::move(text)});
  }

  void end(std::uint32_t step, std::string name, std::string error) {
    tails_.emit(domain::StepFinished{
        .step = step, .name = std::move(name), .cached = false, .error = std::move(error)});
  }

  fakes::RecordingEvents events_;
  StepTails tails_{events_};
};

TEST_F(StepTailsTest, KeepsWhatTheFailingStepPrinted) {
  start(1, "RUN a");
  start(2, "RUN b");
  print(1, "of a\n");
  print(2, "of b\n");
  end(1, "RUN a", "");
  end(2, "RUN b", "process \"b\" did not complete successfully: exit code: 3");
  ASSERT_TRUE(tails_.failed());
  EXPECT_EQ(tails_.failed()->name, "RUN b");
  EXPECT_EQ(tails_.failed()->output, "of b\n");
  EXPECT_EQ(exit_code_in(tails_.failed()->error), 3);
  EXPECT_TRUE(events_.contains("out 2 of b")) << "events pass";
}

TEST_F(StepTailsTest, StepsThatWereStoppedAreNoFailure) {
  start(1, "RUN a");
  start(2, "RUN b");
  print(1, "of a\n");
  print(2, "of b\n");
  end(1, "RUN a", "exit code: 1");
  end(2, "RUN b", "context canceled");
  EXPECT_EQ(tails_.failed()->name, "RUN a");
  EXPECT_EQ(tails_.interrupted()->name, "RUN b");
}

TEST_F(StepTailsTest, TheInnermostStepIsMeant) {
  start(1, "BUILDING");
  print(1, "of the phase\n");
  start(2, "Buildpack acme/node 1.0");
  print(2, "of the buildpack\n");
  end(2, "Buildpack acme/node 1.0", "failed");
  end(1, "BUILDING", "failed");
  EXPECT_EQ(tails_.failed()->output, "of the buildpack\n");
  EXPECT_EQ(exit_code_in("failed"), std::nullopt);
  EXPECT_EQ(exit_code_in("exit code: x"), std::nullopt);
}

TEST_F(StepTailsTest, AStepThatRunsIsTheInterruptedOne) {
  start(1, "RUN sleep");
  print(1, "Proceed? [Y/n]");
  EXPECT_FALSE(tails_.failed());
  EXPECT_EQ(tails_.interrupted()->output, "Proceed? [Y/n]");
}

TEST_F(StepTailsTest, ANewAttemptBeginsWithNothing) {
  start(1, "RUN a");
  print(1, "x");
  end(1, "RUN a", "exit code: 1");
  tails_.forget();
  EXPECT_FALSE(tails_.failed());
  EXPECT_FALSE(tails_.interrupted());
}

TEST_F(StepTailsTest, KeepsTheEndOfMuchOutput) {
  constexpr std::size_t k_kept = domain::failures::FailureRules::k_most_output;
  start(1, "RUN a");
  for (int i = 0; i < 100; ++i) {
    print(1, std::string(10'000, 'x') + "\n");
  }
  print(1, "the end");
  end(1, "RUN a", "exit code: 1");
  const std::string output = tails_.failed()->output;
  EXPECT_LE(output.size(), 2 * k_kept);
  EXPECT_GE(output.size(), k_kept);
  EXPECT_TRUE(output.ends_with("the end"));
}

TEST_F(StepTailsTest, ARowOfOneStreamIsNotCutByTheOther) {
  start(1, "RUN a");
  print(1, "one\ntoken=abc");
  complain(1, "warn\nopen");
  print(1, "def\nlast");
  EXPECT_EQ(tails_.interrupted()->output, "one\nwarn\ntoken=abcdef\nlast\nopen");
  end(1, "RUN a", "exit code: 1");
  EXPECT_EQ(tails_.failed()->output, "one\nwarn\ntoken=abcdef\nlast\nopen");
}

TEST_F(StepTailsTest, AStepWhoseRowIsOpenHasPrintedSomething) {
  start(1, "RUN a");
  start(2, "RUN b");
  print(1, "no line end");
  end(1, "RUN a", "exit code: 1");
  end(2, "RUN b", "exit code: 1");
  EXPECT_EQ(tails_.failed()->name, "RUN a");
}

TEST_F(StepTailsTest, OfARowThatIsTooLongNothingIsKept) {
  constexpr std::size_t k_kept = domain::failures::FailureRules::k_most_output;
  start(1, "RUN a");
  print(1, "first\n" + std::string(k_kept, 'x') + "sec");
  print(1, "ret");
  print(1, "more\nlast\n");
  EXPECT_EQ(tails_.interrupted()->output, "first\nlast\n");
}

TEST_F(StepTailsTest, OutputOfAStepThatHasEndedMakesNoRunningStep) {
  start(1, "RUN a");
  start(2, "RUN b");
  end(1, "RUN a", "");
  print(1, "late\n");
  EXPECT_EQ(tails_.interrupted()->name, "RUN b");
  end(2, "RUN b", "exit code: 1");
  print(2, "the last words\n");
  EXPECT_EQ(tails_.failed()->output, "the last words\n");
  EXPECT_FALSE(tails_.interrupted());
}

TEST_F(StepTailsTest, ACommandMayHoldTheWordsOfAStop) {
  start(1, "RUN ./x CANCELED");
  print(1, "no\n");
  end(1, "RUN ./x CANCELED",
      "process \"./x CANCELED\" did not complete successfully: exit code: 3");
  ASSERT_TRUE(tails_.failed());
  EXPECT_EQ(tails_.failed()->name, "RUN ./x CANCELED");
}

TEST_F(StepTailsTest, ManyRunningStepsShareABound) {
  constexpr std::size_t k_kept = domain::failures::FailureRules::k_most_output;
  constexpr std::uint32_t k_steps = 2 * StepTails::k_most_running / k_kept;
  for (std::uint32_t step = 1; step <= k_steps; ++step) {
    start(step, "RUN " + std::to_string(step));
    print(step, std::string(k_kept, 'x') + "\nsec");
  }
  print(1, "ret\nnew\n");
  end(1, "RUN 1", "exit code: 1");
  EXPECT_EQ(tails_.failed()->output, "new\n") << "the oldest lost its output, and the cut row";
  EXPECT_GT(tails_.interrupted()->output.size(), k_kept) << "the last one keeps its own";
  std::size_t kept = 0;
  for (std::uint32_t step = k_steps; step > 1; --step) {
    kept += tails_.interrupted()->output.size();
    end(step, "RUN", "");
  }
  EXPECT_LE(kept, StepTails::k_most_running);
}

}  // namespace
}  // namespace builder::build
