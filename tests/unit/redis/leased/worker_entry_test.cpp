#include "adapters/redis/leased/worker_entry.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::redis {
namespace {

using std::chrono::seconds;

const ports::WorkerIdentity k_identity{.host = "ops-1",
                                       .pid = 4242,
                                       .version = "2.0.0",
                                       .engine = "docker unix:///run/docker.sock",
                                       .slots = 4};

TEST(WorkerEntry, IsReadAsItWasWritten) {
  const std::string entry =
      write_worker(k_identity, {.age = seconds(90),
                                .running = {{.deployment = domain::DeploymentId("d1"),
                                             .attempt = 2,
                                             .phase = "build",
                                             .step = "[2/5] RUN npm ci \xff",
                                             .age = seconds(7)}}});
  const auto note = read_worker("1764437000123 " + entry);
  ASSERT_TRUE(note);
  EXPECT_EQ(note->written.time_since_epoch().count(), 1'764'437'000'123);
  EXPECT_EQ(note->identity.process(), "ops-1:4242");
  EXPECT_EQ(note->identity.version, "2.0.0");
  EXPECT_EQ(note->identity.engine, k_identity.engine);
  EXPECT_EQ(note->identity.slots, 4u);
  EXPECT_EQ(note->activity.age, seconds(90));
  ASSERT_EQ(note->activity.running.size(), 1u);
  const ports::RunningJob& job = note->activity.running[0];
  EXPECT_EQ(job.deployment.str(), "d1");
  EXPECT_EQ(job.attempt, 2);
  EXPECT_EQ(job.phase, "build");
  EXPECT_EQ(job.step, "[2/5] RUN npm ci \ufffd") << "an entry is valid UTF-8";
  EXPECT_EQ(job.age, seconds(7));
}

TEST(WorkerEntry, SaysWhereItsHistoryIsOrWhyThereIsNone) {
  ports::WorkerIdentity identity = k_identity;
  const std::string older = write_worker(identity, {});
  EXPECT_FALSE(older.contains("history")) << older;
  EXPECT_EQ(read_worker("7 " + older)->identity.history, "");
  identity.no_history = "its HISTORY_KEEP is 0";
  EXPECT_EQ(read_worker("7 " + write_worker(identity, {}))->identity.no_history,
            identity.no_history);
  identity.history = "http://ops-1:9191";
  const auto note = read_worker("7 " + write_worker(identity, {}));
  EXPECT_EQ(note->identity.history, "http://ops-1:9191");
  EXPECT_EQ(note->identity.no_history, "");
}

TEST(WorkerEntry, StaysSmallHoweverManyBuildsRun) {
  ports::WorkerActivity activity;
  for (int i = 0; i < 1'000; ++i) {
    activity.running.push_back({.deployment = domain::DeploymentId("d" + std::to_string(i)),
                                .phase = "build",
                                .step = std::string(100, 's')});
  }
  EXPECT_LT(write_worker(k_identity, activity).size(), 32u * 1024);
}

TEST(WorkerEntry, WhatIsNoneSaysNothing) {
  for (const char* value : {"", " ", "7", "7 ", "x {}", "7 []", "7 {", "{}"}) {
    EXPECT_FALSE(read_worker(value)) << value;
  }
  // Of a version that says other things, in other types.
  const auto note = read_worker(R"(7 {"host":5,"slots":-1,"age":"old","running":[1,{"age":-9}]})");
  ASSERT_TRUE(note);
  EXPECT_EQ(note->identity.host, "");
  EXPECT_EQ(note->identity.slots, 0u);
  ASSERT_EQ(note->activity.running.size(), 1u);
  EXPECT_EQ(note->activity.running[0].age, seconds(0));
}

TEST(PauseEntry, IsReadAsItWasWritten) {
  const ports::Pause pause{.note = "new disk",
                           .by = "anna@ops",
                           .since = ports::QueueTime(std::chrono::milliseconds(1'764'437'000'123))};
  EXPECT_EQ(read_pause(write_pause(pause)), pause);
  EXPECT_EQ(ports::in_words(pause), "by anna@ops since 2025-11-29T17:23:20Z: new disk");
}

TEST(PauseEntry, WhatCannotBeReadIsAPauseAsWell) {
  EXPECT_EQ(read_pause("1"), ports::Pause{});
  EXPECT_EQ(ports::in_words(read_pause("{")), "by somebody");
}

}  // namespace
}  // namespace builder::adapters::redis
