#include "work/step_notes.hpp"

#include "fakes/fake_history.hpp"
#include "fakes/no_observer.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::work {
namespace {

using domain::StepFinished;
using domain::StepStarted;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string k_digest = "sha256:" + std::string(64, 'a');

class StepNotesTest : public testing::Test {
 protected:
  SecretStore store_;
  SecretStore::Registration secrets_ = store_.add_deployment({{"s", Secret("the-secret-value")}});
  fakes::RecordingEvents events_;
  fakes::FakeHistory history_;
  std::unique_ptr<ports::RunRecord> record_ = history_.begin({});
  fakes::NoObserver observer_;
  StepNotes notes_{events_, secrets_, observer_, record_.get()};
};

TEST_F(StepNotesTest, KeepsTheStepsThatTheCustomerSees) {
  notes_.emit(StepFinished{1, "[internal] load build definition", false, "", 10ms});
  notes_.emit(StepFinished{2, "[internal] load build context", false, "", 2s});
  notes_.emit(StepFinished{3, "[1/2] FROM node", true, "", 0ms});
  notes_.emit(StepFinished{4, "[2/2] RUN x", false, "exit code: 1", 5ms});
  const auto& steps = history_.runs[0]->steps;
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[0].name, "[internal] load build context");
  EXPECT_EQ(steps[0].duration, 2s);
  EXPECT_TRUE(steps[1].cached);
  EXPECT_FALSE(steps[1].failed);
  EXPECT_TRUE(steps[2].failed);
}

TEST_F(StepNotesTest, NamesAreRedactedAndOnOneLine) {
  notes_.emit(StepFinished{1, "[2/2] RUN echo the-secret-value\n\x1b[31mred", false, "", 5ms});
  const std::string& name = history_.runs[0]->steps.at(0).name;
  EXPECT_FALSE(name.contains("the-secret-value"));
  EXPECT_FALSE(name.contains('\n'));
  EXPECT_FALSE(name.contains('\x1b'));
}

TEST_F(StepNotesTest, ABaseImageIsToldOnce) {
  const std::string name = "[web 1/2] FROM docker.io/library/node:22@" + k_digest;
  notes_.emit(StepStarted{1, name});
  notes_.emit(StepFinished{1, name, true, "", 0ms});
  notes_.emit(StepStarted{2, name});
  EXPECT_THAT(history_.runs[0]->bases,
              ElementsAre(std::pair(std::string("docker.io/library/node:22"), k_digest)));
}

TEST_F(StepNotesTest, ChangesNoEvent) {
  StepNotes quiet(events_, secrets_, observer_, nullptr);
  quiet.emit(StepStarted{1, "[1/1] FROM a"});
  notes_.emit(StepStarted{2, "[1/1] FROM b"});
  EXPECT_EQ(events_.lines().size(), 2U);
}

}  // namespace
}  // namespace builder::work
