#include "adapters/buildkit/client/progress.hpp"

#include "fakes/recording_events.hpp"
#include "fakes/thread_limit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::buildkit {

namespace {

using moby::buildkit::v1::StatusResponse;
using testing::ElementsAre;

class ProgressTest : public testing::Test {
 protected:
  struct Vertex {
    std::string digest;
    std::string name = "step";
    int started = 0;  ///< Seconds; 0: not yet.
    int completed = 0;
    bool cached = false;
    std::string error = {};
    std::vector<std::string> inputs = {"other"};
    std::string group = {};
    bool weak = false;
  };

  static void add(StatusResponse& message, const Vertex& from) {
    auto* vertex = message.add_vertexes();
    vertex->set_digest(from.digest);
    vertex->set_name(from.name);
    vertex->set_cached(from.cached);
    vertex->set_error(from.error);
    for (const std::string& input : from.inputs) {
      vertex->add_inputs(input);
    }
    if (!from.group.empty()) {
      vertex->mutable_progress_group()->set_id(from.group);
      vertex->mutable_progress_group()->set_name("name of " + from.group);
      vertex->mutable_progress_group()->set_weak(from.weak);
    }
    if (from.started != 0) {
      vertex->mutable_started()->set_seconds(from.started);
    }
    if (from.completed != 0) {
      vertex->mutable_completed()->set_seconds(from.completed);
    }
  }

  static void log(StatusResponse& message, const std::string& digest, const std::string& text,
                  int stream = 1) {
    auto* entry = message.add_logs();
    entry->set_vertex(digest);
    entry->set_stream(stream);
    entry->set_msg(text);
  }

  void say(const Vertex& vertex) {
    StatusResponse message;
    add(message, vertex);
    progress.apply(message);
  }

  fakes::RecordingEvents events;
  Progress progress{events, 1};
};

using Bases = std::vector<domain::BaseImage>;

std::string digest(char of) {
  return "sha256:" + std::string(64, of);
}

TEST_F(ProgressTest, KnowsTheImagesThatABuildIsMadeOf) {
  const auto source = [this](const std::string& name) {
    say({.digest = name, .name = name, .inputs = {}});
  };
  source("[internal] load build definition from Dockerfile");
  source("[internal] load metadata for docker.io/library/busybox:latest");
  source("[build 1/2] FROM docker.io/library/busybox:latest@" + digest('a'));
  source("[build 1/2] FROM docker.io/library/busybox:latest@" + digest('a'));
  source("[linux/amd64 stage-1 1/2] FROM r.test:5000/base:1@" + digest('b'));
  source("docker-image://docker.io/docker/dockerfile:1@" + digest('c'));
  source("[auth] library/busybox:pull token for registry-1.docker.io");
  source("exporting to image");
  source("[stage-2 1/3] WORKDIR /app");
  source("[stage-2 2/3] COPY <<EOF /file");
  say({.digest = "run", .name = "[build 2/2] RUN curl https://example.com"});
  EXPECT_EQ(progress.bases(), (Bases{{"docker.io/docker/dockerfile:1", digest('c')},
                                     {"docker.io/library/busybox:latest", digest('a')},
                                     {"r.test:5000/base:1", digest('b')}}));
}

TEST_F(ProgressTest, TellsWhichImagesWereNamedByATag) {
  const auto source = [this](const std::string& name) {
    say({.digest = name, .name = name, .inputs = {}});
  };
  source("resolve image config for docker-image://docker.io/docker/dockerfile:1");
  source("docker-image://docker.io/docker/dockerfile:1@" + digest('c'));
  source("[internal] load metadata for docker.io/library/busybox:latest");
  source("[internal] load metadata for r.test/fixed:1@" + digest('b'));
  source("[1/2] FROM docker.io/library/busybox:latest@" + digest('a'));
  source("[build 1/2] FROM r.test/fixed:1@" + digest('b'));
  source("https://example.com/file");  // A download changes nothing about them.
  EXPECT_EQ(progress.bases(), std::nullopt);
  const Bases tagged{{"docker.io/docker/dockerfile:1", digest('c')},
                     {"docker.io/library/busybox:latest", digest('a')}};
  EXPECT_EQ(progress.tagged(), tagged);
  source("[stage-2 1/2] FROM docker.io/library/busybox:latest@" + digest('d'));
  EXPECT_EQ(progress.tagged(), (Bases{tagged.front()})) << "which one is not known";
}

TEST_F(ProgressTest, DoesNotKnowTheBasesOfABuildThatTookSomethingElse) {
  for (const std::string& name : std::vector<std::string>{
           "https://example.com/file", "git://example.com/repo",
           "[internal stage 1/2] FROM busybox", "[1/2] FROM docker.io/library/busybox:latest",
           "[1/2] ADD https://example.com/file /", "[1/2] RUN true", "local://other",
           "docker-image://docker.io/docker/dockerfile:1.0@" + digest('a'),
           "docker-image://docker.io/docker/dockerfile:1.0-experimental@" + digest('a'),
           "docker-image://docker.io/docker/dockerfile-upstream:master@" + digest('a'),
           "docker-image://docker.io/someone/frontend:1@" + digest('a'), "", "["}) {
    Progress one(events, 1);
    StatusResponse message;
    add(message, {.digest = "x", .name = name, .inputs = {}});
    one.apply(message);
    EXPECT_EQ(one.bases(), std::nullopt) << name;
  }
  EXPECT_EQ(progress.bases(), std::nullopt) << "nothing was told";
  say({.digest = "x", .name = "[internal] load build context", .inputs = {}});
  EXPECT_EQ(progress.bases(), Bases());
  progress.gap();
  EXPECT_EQ(progress.bases(), std::nullopt);
}

TEST_F(ProgressTest, DoesNotKnowABaseThatMovedDuringTheBuild) {
  for (const char of : {'a', 'b'}) {
    say({.digest = {of}, .name = "[1/1] FROM r.test/base:1@" + digest(of), .inputs = {}});
  }
  EXPECT_EQ(progress.bases(), std::nullopt);
}

TEST_F(ProgressTest, VerticesOfOneGroupAreOneStep) {
  const Vertex copy{
      .digest = "copy", .started = 1, .completed = 2, .cached = true, .group = "g", .weak = true};
  say(copy);
  say({.digest = "merge", .started = 3, .inputs = {"base", "copy"}, .group = "g"});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 name of g"));
  say({.digest = "merge",
       .started = 3,
       .completed = 4,
       .cached = true,
       .inputs = {"base", "copy"},
       .group = "g"});
  say({.digest = "next", .name = "N", .started = 5, .inputs = {"merge"}});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 name of g", "cached 1", "start 2 N"));
}

TEST_F(ProgressTest, AGroupIsCachedWhenAllOfItIs) {
  say({.digest = "copy", .started = 1, .completed = 2, .group = "g", .weak = true});
  say({.digest = "merge", .started = 3, .completed = 4, .cached = true, .group = "g"});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 name of g", "done 1"));
}

TEST_F(ProgressTest, WhatFailsInAGroupIsTheFailureOfTheStep) {
  say({.digest = "copy", .started = 1, .completed = 2, .error = "no", .group = "g", .weak = true});
  ASSERT_EQ(progress.failed().size(), 1U);
  EXPECT_EQ(progress.failed().front().digest, "copy");
  EXPECT_EQ(progress.failed().front().name, "name of g");
}

TEST_F(ProgressTest, NumbersStepsInOrderOfStartAndReportsEachOnce) {
  say({.digest = "a", .name = "A"});
  say({.digest = "b", .name = "B", .started = 1});
  say({.digest = "a", .name = "A", .started = 2});
  say({.digest = "b", .name = "B", .started = 1});
  say({.digest = "b", .name = "B", .started = 1, .completed = 3});
  say({.digest = "b", .name = "B", .started = 1, .completed = 3});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 B", "start 2 A", "done 1"));
  EXPECT_EQ(progress.next_step(), 3U);
}

TEST_F(ProgressTest, ReportsACachedStepAsStartedAndFinished) {
  say({.digest = "a", .started = 1, .completed = 1, .cached = true});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 step", "cached 1"));
}

TEST_F(ProgressTest, PutsOutputBetweenStartAndEndOfOneMessage) {
  StatusResponse message;
  add(message, {.digest = "a", .started = 1, .completed = 2});
  log(message, "a", "one\n");
  log(message, "a", "two\n", 2);
  progress.apply(message);
  EXPECT_THAT(events.lines(), ElementsAre("start 1 step", "out 1 one\n", "err 1 two\n", "done 1"));
}

TEST_F(ProgressTest, EndsAStepBehindTheOutputThatComesWithLaterMessages) {
  StatusResponse first;
  add(first, {.digest = "a", .started = 1, .completed = 2});
  log(first, "a", "one");
  progress.apply(first, true);
  StatusResponse second;
  log(second, "a", "two");
  progress.apply(second);
  say({.digest = "b", .started = 2});
  EXPECT_THAT(events.lines(),
              ElementsAre("start 1 step", "out 1 one", "out 1 two", "done 1", "start 2 step"));
}

TEST_F(ProgressTest, KeepsTheOrderOfInterleavedOutput) {
  StatusResponse message;
  add(message, {.digest = "a", .started = 1});
  add(message, {.digest = "b", .started = 1});
  log(message, "b", "1");
  log(message, "a", "2");
  log(message, "b", std::string("\xff\0", 2));
  progress.apply(message);
  EXPECT_EQ(events.output(), std::string("12\xff\0", 4));
}

TEST_F(ProgressTest, WaitsForTheSecondRunOfASource) {
  const std::vector<std::string> none;
  say({.digest = "s", .started = 1, .completed = 2, .inputs = none});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 step"));
  say({.digest = "s", .started = 3, .inputs = none});
  say({.digest = "s", .started = 3, .completed = 9, .inputs = none});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 step", "done 1"));
}

TEST_F(ProgressTest, EndsAnInternalSourceAtOnce) {
  say({.digest = "s", .name = "[internal] load x", .started = 1, .completed = 2, .inputs = {}});
  say({.digest = "s", .name = "[internal] load x", .started = 3, .completed = 3, .inputs = {}});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 [internal] load x", "done 1"));
}

TEST_F(ProgressTest, EndsASourceBeforeTheStepThatUsesIt) {
  const std::vector<std::string> none;
  say({.digest = "s", .name = "S", .started = 1, .completed = 2, .inputs = none});
  say({.digest = "r", .name = "R", .started = 3, .inputs = {"s"}});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 S", "done 1", "start 2 R"));
}

TEST_F(ProgressTest, EndsHeldBackSourcesAtTheEnd) {
  say({.digest = "z", .name = "A", .started = 1, .completed = 2, .inputs = {}});
  say({.digest = "a", .name = "B", .started = 1, .completed = 2, .inputs = {}});
  progress.finish();
  EXPECT_THAT(events.lines(), ElementsAre("start 1 A", "start 2 B", "done 1", "done 2"));
}

TEST_F(ProgressTest, SaysOnceThatThePushBegan) {
  say({.digest = "e", .name = "exporting to image", .started = 1});
  EXPECT_FALSE(progress.push_began());
  for (const char* part : {"exporting layers", "pushing layers", "pushing manifest for h/x:t"}) {
    StatusResponse message;
    auto* status = message.add_statuses();
    status->set_vertex("e");
    status->set_id(part);
    progress.apply(message);
  }
  EXPECT_TRUE(progress.push_began());
  EXPECT_THAT(events.lines(), ElementsAre(testing::HasSubstr("exporting to image"),
                                          testing::HasSubstr("Pushing image")));
}

TEST_F(ProgressTest, APushGoesOnWithoutAThreadThatTellsOfIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto push = [this] {
    say({.digest = "e", .name = "exporting to image", .started = 1});
    StatusResponse message;
    message.add_statuses()->set_id("pushing layers");
    progress.apply(message);
    progress.finish();
    EXPECT_TRUE(progress.push_began());
  };
  EXPECT_EXIT(fakes::without_threads(push), testing::ExitedWithCode(0), "");
}

TEST_F(ProgressTest, TellsWhatStepsMoveAndWhichOfThemWait) {
  say({.digest = "s", .name = "[1/2] FROM x", .started = 1, .completed = 2, .inputs = {}});
  EXPECT_THAT(events.transfers(), ElementsAre("1 waits")) << "it is pulled when it is needed";
  StatusResponse message;
  for (const int current : {40, 100}) {
    auto* status = message.add_statuses();
    status->set_vertex("s");
    status->set_id("sha256:ab\x1b[2J");
    status->set_current(current);
    status->set_total(100);
    if (current == 100) {
      status->mutable_completed()->set_seconds(3);
    }
  }
  message.add_statuses()->set_vertex("unknown");
  progress.apply(message);
  EXPECT_THAT(events.transfers(),
              ElementsAre("1 waits", "1 sha256:ab 40/100", "1 sha256:ab 100/100 done"));
  EXPECT_EQ(events.activities(), 4U) << "each is a sign of life";
  progress.finish();
  progress.apply(message);
  EXPECT_EQ(events.transfers().size(), 3U) << "the step has ended";
}

TEST_F(ProgressTest, RemembersFailures) {
  say({.digest = "a", .name = "RUN x", .started = 1, .completed = 2, .error = "exit code: 1"});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 RUN x", "failed 1 exit code: 1"));
  ASSERT_EQ(progress.failed().size(), 1U);
  EXPECT_EQ(progress.failed().front().name, "RUN x");
}

TEST_F(ProgressTest, ExplainsTheClipNoticeOnce) {
  StatusResponse message;
  add(message, {.digest = "a", .started = 1});
  log(message, "a", "it says [output clipped, log limit 1MiB reached]: a quotation\n");
  log(message, "a", "\n[output clipped, log limit 200KiB/s reached]\n");
  log(message, "a", "\n[output clipped, log limit 1MiB reached]\n");
  progress.apply(message);
  const auto lines = events.lines();
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_THAT(lines[3], testing::StartsWith("lost The build engine cut"));
  EXPECT_THAT(lines[3], testing::HasSubstr("BUILDKIT_STEP_LOG_MAX_SIZE"));
}

TEST_F(ProgressTest, HidesWhatTheDaemonSaysOfItsProxy) {
  StatusResponse message;
  add(message, {.digest = "a", .name = "RUN x", .started = 1, .completed = 2, .error = "exit"});
  const std::string head = "proxy network requests:\n";
  log(message, "a", head);  // Of the command itself.
  log(message, "a", "- a list\n", 2);
  log(message, "a", "the last word", 2);
  log(message, "a", head, 2);
  log(message, "a", "- GET https://e.test/a?token=secret -> 200\n", 2);
  log(message, "b", "- GET of another step\n", 2);
  log(message, "a", "- POST https://e.test/a?token=secret\n", 2);
  log(message, "a", "- GET https://e.test/a?to\n[output clipped, log limit 1MiB reached]\n", 2);
  progress.apply(message);
  EXPECT_TRUE(events.output().contains("secret")) << "of a daemon without a proxy";

  fakes::RecordingEvents hidden;
  Progress proxied(hidden, 1, nullptr, true);
  proxied.apply(message);
  EXPECT_EQ(hidden.output(), head + "- a list\nthe last word- GET of another step\n");
  EXPECT_TRUE(hidden.contains("lost The build engine cut"));
  EXPECT_EQ(proxied.failed().front().output, head + "- a list\nthe last word");
}

TEST_F(ProgressTest, KnowsWhetherAllCommandsRan) {
  EXPECT_FALSE(progress.all_ran()) << "nothing was told";
  say({.digest = "i", .name = "[internal] load build context", .inputs = {}});
  say({.digest = "f", .name = "[1/4] FROM docker.io/library/busybox", .cached = true});
  say({.digest = "w", .name = "[2/4] WORKDIR /app", .completed = 1, .cached = true});
  say({.digest = "c", .name = "[3/4] COPY . .", .completed = 1, .cached = true});
  say({.digest = "d", .name = "[3/4] ADD https://e.test/a /", .completed = 1, .cached = true});
  say({.digest = "e", .name = "exporting to image", .started = 1, .inputs = {}});
  EXPECT_TRUE(progress.all_ran());
  EXPECT_FALSE(progress.has_runs());
  say({.digest = "r", .name = "[web 4/4] RUN wget https://e.test/b"});
  EXPECT_TRUE(progress.has_runs());
  EXPECT_FALSE(progress.all_ran()) << "it has not run yet";
  say({.digest = "r", .name = "[web 4/4] RUN wget https://e.test/b", .started = 1, .completed = 2});
  EXPECT_TRUE(progress.all_ran());
  say({.digest = "s", .name = "[4/4] RUN true", .started = 1, .completed = 1, .cached = true});
  EXPECT_FALSE(progress.all_ran());
}

TEST_F(ProgressTest, DoesNotKnowTheCommandsOfAnotherFrontend) {
  say({.digest = "f", .name = "docker-image://docker.io/docker/dockerfile:1@" + digest('a')});
  EXPECT_TRUE(progress.all_ran());
  say({.digest = "g", .name = "docker-image://docker.io/o/frontend:1@" + digest('a')});
  EXPECT_FALSE(progress.all_ran());
}

TEST_F(ProgressTest, DoesNotKnowTheCommandsWhenTheDaemonDidNotTellAll) {
  say({.digest = "c", .name = "[1/1] COPY . ."});
  progress.broke_off();
  EXPECT_FALSE(progress.all_ran());
}

TEST_F(ProgressTest, AGapIsOutputThatIsLost) {
  progress.gap();
  EXPECT_THAT(events.lines(), ElementsAre(testing::StartsWith("lost The build engine lost its")));
}

TEST_F(ProgressTest, ShowsWarningsWithTheirPlace) {
  StatusResponse message;
  auto* warning = message.add_warnings();
  warning->set_short_("Legacy key/value format");
  warning->set_url("https://docs.example/rule");
  warning->mutable_info()->set_filename("Dockerfile");
  warning->add_ranges()->mutable_start()->set_line(3);
  progress.apply(message);
  EXPECT_THAT(events.lines(), ElementsAre("WARNING Dockerfile:3: Legacy key/value format "
                                          "(https://docs.example/rule)"));
}

}  // namespace

}  // namespace builder::adapters::buildkit
