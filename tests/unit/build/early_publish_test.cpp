#include "build/early_publish.hpp"

#include "fakes/fake_steps.hpp"
#include "fakes/memory_tree.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>

namespace builder::build {
namespace {

using ::testing::ElementsAre;
using namespace std::chrono_literals;

class EarlyPublishTest : public ::testing::Test {
 protected:
  EarlyPublishTest() { tree->add_file("Dockerfile", "FROM busybox\n"); }

  EarlyPublish start(std::function<Result<ports::Repository>()> repository = [] {
    return Result<ports::Repository>(ports::Repository{"registry.test/app"});
  }) {
    return EarlyPublish({image, events}, job, spec(),
                        [repository = std::move(repository)](ports::ImageSpec& made) -> Result<> {
                          BUILDER_TRY_ASSIGN(made.repository, repository());
                          return {};
                        });
  }

  static ports::ImageSpec spec() {
    return {.service_id = domain::ServiceId("s1"),
            .context = {},
            .dockerfile = "Dockerfile",
            .repository = {},
            .tag = "d1"};
  }

  fakes::StepRecord record;
  fakes::FakeImageBuilder image{record};
  fakes::RecordingEvents events;
  std::shared_ptr<fakes::MemoryTree> tree = std::make_shared<fakes::MemoryTree>();
  const ports::SourceCommit commit{.id = "c", .time = std::chrono::sys_seconds(1'700'000'000s)};
  std::stop_source stop;
  ports::JobContext job{.deployment_id = domain::DeploymentId("d1"), .stop = stop.get_token()};
};

TEST_F(EarlyPublishTest, TheBuildGoesNoFurtherThanItsSource) {
  EarlyPublish early = start();
  EXPECT_FALSE(record.has("build"));
  const auto published = early.finish(tree, tree, commit);
  ASSERT_TRUE(published) << published.error().message;
  EXPECT_EQ(published->image.repository.uri, "registry.test/app");
  EXPECT_THAT(record.steps(), ElementsAre("build", "push d1"));
}

TEST_F(EarlyPublishTest, WhatNobodyAsksForEndsWithoutBuilding) {
  {
    const EarlyPublish early = start();
  }
  EXPECT_THAT(record.steps(), ElementsAre());
}

TEST_F(EarlyPublishTest, AStopOfTheJobEndsIt) {
  EarlyPublish early = start();
  stop.request_stop();
  const auto published = early.finish(tree, tree, commit);
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().kind, ErrorKind::cancelled);
  EXPECT_THAT(record.steps(), ElementsAre());
}

TEST_F(EarlyPublishTest, ARepositoryThatCannotBeHadIsTheResult) {
  EarlyPublish early =
      start([] { return Result<ports::Repository>(failure(ErrorKind::denied, "no rights")); });
  const auto published = early.finish(tree, tree, commit);
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().message, "no rights");
}

/// Begins a step of its own before it looks at the source, as an engine does.
class EagerBuilder final : public ports::ImageBuilder {
 public:
  Result<ports::PublishResult> publish(const ports::JobContext&, const ports::ImageSpec& spec,
                                       domain::EventSink& events) override {
    events.emit(domain::StepStarted{1, "[internal] load build definition"});
    begun.count_down();
    static_cast<void>(spec.context->stat(spec.dockerfile));
    for (const std::uint32_t step : {1U, 2U}) {
      events.emit(domain::StepFinished{step, "step", false, "", 1h});
    }
    return ports::PublishResult{.image = {}, .figures = {.build = 1h, .push = 1ms}};
  }

  Result<std::optional<ports::PublishResult>> publish_built(const ports::JobContext&,
                                                            const ports::Repository&,
                                                            const std::string&, const std::string&,
                                                            domain::EventSink&) override {
    return std::nullopt;
  }

  Result<std::vector<domain::BaseImage>> find_bases(const ports::JobContext&,
                                                    const ports::Repository&,
                                                    const std::vector<std::string>&) override {
    return {};
  }

  void clean_up(const ports::JobContext&, const ports::Repository&, const std::string&) override {}

  std::latch begun{1};
};

TEST_F(EarlyPublishTest, WhatNobodyAsksForIsNotToldAboutFurther) {
  EagerBuilder eager;
  {
    const EarlyPublish early({eager, events}, job, spec(),
                             [](ports::ImageSpec&) { return Result<>(); });
    eager.begun.wait();
  }
  EXPECT_THAT(events.lines(), ElementsAre("start 1 [internal] load build definition"));
}

class Durations final : public domain::EventSink {
 public:
  void emit(domain::BuildEvent event) override {
    if (const auto* finished = std::get_if<domain::StepFinished>(&event)) {
      all.push_back(finished->duration);
    }
  }

  std::vector<std::chrono::milliseconds> all;
};

TEST_F(EarlyPublishTest, TheWaitForTheSourceIsNobodysTime) {
  EagerBuilder eager;
  Durations durations;
  EarlyPublish early({eager, durations}, job, spec(), [](ports::ImageSpec&) { return Result<>(); });
  eager.begun.wait();
  const auto published = early.finish(tree, tree, commit);
  ASSERT_TRUE(published);
  EXPECT_LT(published->figures.build, 1min);
  ASSERT_EQ(durations.all.size(), 2U);
  EXPECT_LT(durations.all[0], 1min);
  EXPECT_EQ(durations.all[1], 1h);  // It began when the source was there.
}

}  // namespace
}  // namespace builder::build
