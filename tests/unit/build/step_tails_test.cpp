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

}  // namespace
}  // namespace builder::build
