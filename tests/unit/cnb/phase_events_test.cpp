#include "adapters/cnb/phase_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::cnb {
namespace {

using domain::StepFinished;
using domain::StepOutput;
using domain::StepStarted;

/// What a reader of the events sees.
class Shown final : public domain::EventSink {
 public:
  void emit(domain::BuildEvent event) override {
    std::visit([this](const auto& what) { on(what); }, event);
  }

  std::string text;

 private:
  void on(const StepStarted& event) { text += name(event.step) + "begins " + event.name + "\n"; }

  void on(const StepFinished& event) {
    text += name(event.step) + "ends" + (event.cached ? " cached" : "") +
            (event.error.empty() ? "" : " " + event.error) + "\n";
  }

  void on(const StepOutput& event) { text += name(event.step) + event.data; }

  void on(const domain::Message& event) { text += event.text + "\n"; }

  void on(const domain::OutputLost& event) { text += "lost " + event.why + "\n"; }

  void on(const domain::Activity& event) {
    text += event.transfer  ? name(event.transfer->step) + "moves\n"
            : event.waiting ? name(*event.waiting) + "waits\n"
                            : "activity\n";
  }

  static std::string name(std::uint32_t step) { return std::to_string(step) + " "; }
};

constexpr const char* k_create =
    R"([cnb 5/5] RUN --mount=… ["/bin/sh", "/cnb-platform/create", "x"])";

class PhaseEventsTest : public testing::Test {
 protected:
  void out(std::string data) { events_.emit(StepOutput{9, false, std::move(data)}); }

  Shown shown_;
  PhaseEvents events_{shown_, 1};
};

TEST_F(PhaseEventsTest, ShowsWhatABuildpackSaysBesideTheLifecycleWheneverItArrives) {
  events_.emit(StepStarted{9, k_create});
  out("===> DETECTING\nfail: acme/go@1\n");
  events_.emit(StepOutput{9, true, "too soon\n"});
  out("acme/node 1.0\n===> BUILDING\nRunning build for buildpack acme/node@1.0\nRunning build "
      "command\n");
  events_.emit(StepOutput{9, true, "in time\n===> BUILDING\n"});
  out("Finished running build for buildpack acme/node@1.0\n");
  events_.emit(StepOutput{9, true, "Timer: too late\n"});
  events_.emit(StepFinished{9, k_create, false, "", {}});
  for (const char* line :
       {"3 too soon\n", "3 in time\n", "3 ===> BUILDING\n", "2 Timer: too late\n"}) {
    EXPECT_THAT(shown_.text, testing::HasSubstr(line));
  }
  EXPECT_THAT(shown_.text, testing::Not(testing::HasSubstr("acme/go")));
}

TEST_F(PhaseEventsTest, KeepsNobodyWaitingForABuildpackThatIsNotNamed) {
  events_.emit(StepStarted{9, k_create});
  out("===> BUILDING\n");
  for (int i = 0; i < 60; ++i) {
    events_.emit(StepOutput{9, true, std::to_string(i) + "\n"});
  }
  EXPECT_THAT(shown_.text, testing::HasSubstr("1 49\n"));
}

TEST_F(PhaseEventsTest, TellsOfTransfersInItsOwnNumbers) {
  events_.emit(StepStarted{2, "[cnb 1/5] FROM acme/builder@sha256:0"});
  events_.emit(StepStarted{7, "[internal] load metadata"});
  shown_.text.clear();
  events_.emit(domain::Activity{.transfer = domain::Transfer{2, "sha256:ab", 1, 2, false}});
  events_.emit(domain::Activity{.waiting = 2});
  events_.emit(domain::Activity{.transfer = domain::Transfer{7, "x", 1, 2, false}});
  events_.emit(domain::Activity{.waiting = 8});
  EXPECT_EQ(shown_.text, "1 moves\n1 waits\nactivity\nactivity\n");
}

TEST_F(PhaseEventsTest, ShowsPhasesAndBuildpacksInPlaceOfTheDockerfile) {
  events_.emit(StepStarted{1, "[internal] load build definition from Dockerfile"});
  events_.emit(StepFinished{1, "[internal] load build definition from Dockerfile", false, "", {}});
  events_.emit(StepStarted{2, "[cnb 1/5] FROM acme/builder@sha256:0"});
  events_.emit(StepFinished{2, "[cnb 1/5] FROM acme/builder@sha256:0", true, "", {}});
  events_.emit(StepStarted{3, "[cnb 2/5] COPY --chown=1:2 app/ /workspace/"});
  events_.emit(StepFinished{3, "[cnb 2/5] COPY --chown=1:2 app/ /workspace/", false, "", {}});
  events_.emit(StepStarted{4, "[cnb 3/5] COPY platform/ /platform/"});
  events_.emit(StepFinished{4, "[cnb 3/5] COPY platform/ /platform/", false, "", {}});
  events_.emit(StepStarted{9, k_create});
  out("Starting creator...\n===> DETEC");
  out("TING\nfail: acme/go@1\nResolving plan... (try #1)\nacme/node 1.0\nTimer: x\n===> "
      "BUILDING\n");
  out("Running build for buildpack acme/node@1.0\nRunning build command\nhello\n");
  out("Processing layers\nFinished running build for buildpack acme/node@1.0\n===> EXPORTING\n");
  out("Saving x...");
  events_.emit(StepFinished{9, k_create, false, "", {}});
  events_.finish();
  EXPECT_EQ(shown_.text,
            "1 begins Builder image acme/builder@sha256:0\n1 ends cached\n"
            "2 begins Copying the app\n2 ends\n"
            "3 begins DETECTING\n3 acme/node 1.0\n3 ends\n"
            "4 begins BUILDING\n5 begins Buildpack acme/node 1.0\n5 hello\n5 ends\n4 ends\n"
            "6 begins EXPORTING\n6 Saving x...\n6 ends\n");
  EXPECT_EQ(events_.next_step(), 7U);
}

TEST_F(PhaseEventsTest, ShowsHowDetectionWentWhenItFailed) {
  events_.emit(StepStarted{9, k_create});
  out("===> DETECTING\nfail: acme/go@1\nfail: acme/node@1\nERROR: No buildpack groups passed "
      "detection.\n");
  events_.emit(StepFinished{9, k_create, false, "", {}});
  EXPECT_EQ(shown_.text,
            "1 begins DETECTING\n1 fail: acme/go@1\n1 fail: acme/node@1\n"
            "1 ERROR: No buildpack groups passed detection.\n1 ends failed\n");
}

TEST_F(PhaseEventsTest, AFailingBuildpackFailsItsStepAndItsPhase) {
  events_.emit(StepStarted{9, k_create});
  out("===> BUILDING\nRunning build for buildpack acme/node@1.0\nRunning build command\nno\n"
      "ERROR: failed to build: exit status 9\n");
  events_.emit(StepFinished{9, k_create, false, "", {}});
  EXPECT_EQ(shown_.text,
            "1 begins BUILDING\n2 begins Buildpack acme/node 1.0\n2 no\n"
            "2 ERROR: failed to build: exit status 9\n2 ends failed\n1 ends failed\n");
  EXPECT_EQ(events_.trace().building, "acme/node 1.0");
}

TEST_F(PhaseEventsTest, APhaseThatTheEngineStopsHasNotFailed) {
  events_.emit(StepStarted{9, k_create});
  out("===> BUILDING\nRunning build for buildpack acme/node@1.0\nRunning build command\n");
  events_.emit(StepFinished{9, k_create, false, "context canceled", {}});
  EXPECT_EQ(shown_.text,
            "1 begins BUILDING\n2 begins Buildpack acme/node 1.0\n"
            "2 ends context canceled\n1 ends context canceled\n");
}

TEST_F(PhaseEventsTest, PhasesOfUntrustedBuildersAreStepsOfTheSolve) {
  const std::string name = R"([analyzed 1/1] RUN --mount=… ["/cnb/lifecycle/analyzer", "x"])";
  const std::string build = R"([built 2/2] RUN ["/cnb/lifecycle/builder"])";
  events_.emit(StepStarted{1, name});
  events_.emit(StepOutput{1, true, "Warning: x\n"});
  events_.emit(StepFinished{1, name, false, "", {}});
  events_.emit(StepStarted{2, build});
  events_.emit(StepOutput{2, false, "Running build for buildpack acme/node@1.0\n"});
  events_.emit(StepFinished{2, build, false, "exit code: 51", {}});
  EXPECT_EQ(shown_.text,
            "1 begins ANALYZING\n1 Warning: x\n1 ends\n"
            "2 begins BUILDING\n3 begins Buildpack acme/node 1.0\n3 ends failed\n2 ends failed\n");
  EXPECT_EQ(events_.trace().phase, "BUILDING");
}

TEST_F(PhaseEventsTest, ASolveThatBeginsAgainBeginsAnew) {
  events_.emit(StepStarted{9, k_create});
  out("===> BUILDING\nRunning build for buildpack acme/node@1.0\nRunning build command\nhalf a li");
  events_.emit(StepFinished{9, k_create, false, "lost", {}});
  events_.emit(StepStarted{12, k_create});
  events_.emit(StepOutput{12, false, "===> ANALYZING\n"});
  EXPECT_TRUE(shown_.text.ends_with("begins ANALYZING\n")) << shown_.text;
}

TEST_F(PhaseEventsTest, KeepsWordsAboutTheDockerfileToItself) {
  events_.warning("Dockerfile:3: SomeRule: words");
  events_.emit(domain::Message{domain::LogType::error, "Step 3 failed: x"});
  events_.warning("The build engine went away");
  events_.emit(domain::OutputLost{"The build engine clipped it"});
  EXPECT_EQ(shown_.text, "The build engine went away\nlost The build engine clipped it\n");
}

TEST_F(PhaseEventsTest, AnEndlessLineIsPassedOnInPieces) {
  events_.emit(StepStarted{9, k_create});
  out("===> BUILDING\n");
  for (int i = 0; i < 40; ++i) {
    out(std::string(4'096, 'x'));
  }
  events_.finish();
  EXPECT_GT(shown_.text.size(), 100'000U);
}

}  // namespace
}  // namespace builder::adapters::cnb
