#include "app/cli/queue/queue_text.hpp"

#include "app/cli/queue/queue_json.hpp"

#include <gtest/gtest.h>

namespace builder::app::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ports::QueueTime k_now{milliseconds(1'764'437'000'123)};
const Terminal k_queue_pipe{.columns = Terminal::k_no_limit};

ports::QueueLook some_look() {
  return {.now = k_now,
          .waiting = 30,
          .first = {{.position = 1,
                     .deployment = "d3",
                     .service = "s3",
                     .repository = "octo/hello",
                     .branch = "main",
                     .bytes = 300,
                     .attempts = 1},
                    {.position = 2, .bytes = 12}},
          .set_aside = {{.deployment = "d4",
                         .service = "s1",
                         .repository = "octo/shop",
                         .branch = "main",
                         .commit = "0123456789abcdef",
                         .behind = "d1"}},
          .running = {{.deployment = "d1",
                       .service = "s1",
                       .lease_id = "aaaaaaaabbbb",
                       .worker = "ops-1:42",
                       .attempt = 2,
                       .age = seconds(130),
                       .phase = "build",
                       .step = "[2/5] RUN npm ci",
                       .superseded_by = "d4"},
                      {.deployment = "d2", .lease_id = "ccccccccdddd"}},
          .undelivered = 1,
          .ends = {{.deployment = "d0",
                    .status = "CANCELLED",
                    .reason = "user",
                    .age = seconds(5),
                    .sender = ""}},
          .dead = 1,
          .workers = {{.lease_id = "aaaaaaaabbbb",
                       .lease_left = seconds(55),
                       .identity = {{.host = "ops-1",
                                     .pid = 42,
                                     .version = "2.0.0",
                                     .engine = "docker unix:///run/docker.sock",
                                     .slots = 4}},
                       .age = std::chrono::hours(51),
                       .said = seconds(3),
                       .running = {"d1"},
                       .pause = ports::Pause{.note = "new disk", .by = "anna@ops", .since = k_now}},
                      {.lease_id = "ccccccccdddd", .lease_left = seconds(-7), .running = {"d2"}}},
          .pauses = {{"ops-1", {.note = "new disk", .by = "anna@ops", .since = k_now}}}};
}

TEST(QueueText, SaysWhatRunsWhatWaitsAndWhatIsNotDelivered) {
  EXPECT_EQ(queue_text(k_queue_pipe, some_look()),
            R"(30 waiting, 1 set aside, 2 running on 2 workers, 1 end not delivered
paused: ops-1, by anna@ops since 2025-11-29T17:23:20Z: new disk

RUNNING  SERVICE  WORKER          FOR    TRY  DOES
d1       s1       ops-1:42        2m10s  2    stops for newer d4; build: [2/5] RUN npm ci
d2       -        lease cccccccc  -      1    -

PLACE  WAITING  SERVICE  LOST  SOURCE
1      d3       s3       1     octo/hello@main
2      -        -        0     no job (12 bytes), workers drop it
… and 28 more

SET ASIDE  SERVICE  BEHIND  SOURCE
d4         s1       d1      octo/shop@0123456789ab

NOT DELIVERED  STATUS                 FOR  SENDER
d0             CANCELLED (cancelled)  5s   nobody yet

1 dead letter: deployra-builder dead shows why
)");
}

TEST(QueueText, OfAnEmptyQueueIsOneLine) {
  EXPECT_EQ(queue_text(k_queue_pipe, {}), "0 waiting, 0 running on 0 workers\n");
}

TEST(QueueText, FitsANarrowTerminal) {
  const Terminal narrow{.columns = 40};
  for (const std::string& text :
       {queue_text(narrow, some_look()), workers_text(narrow, some_look()),
        dead_text(narrow, {{.reason = "no job", .time = k_now}})}) {
    for (std::size_t start = 0; start < text.size();) {
      const std::size_t end = text.find('\n', start);
      ASSERT_NE(end, std::string::npos);
      EXPECT_LE(width_of(text.substr(start, end - start)), 40u) << text.substr(start, end - start);
      start = end + 1;
    }
  }
  EXPECT_TRUE(queue_text(narrow, some_look()).contains("RUNNING: d1\n"));
}

TEST(QueueText, TextOfStrangersIsOneHarmlessLine) {
  ports::QueueLook look;
  look.waiting = 1;
  look.first = {{.position = 1,
                 .deployment = "d1",
                 .service = "s1",
                 .repository = "a\x1b[2J\nb",
                 .branch = std::string(500, 'x')}};
  const std::string text = queue_text(k_queue_pipe, look);
  EXPECT_FALSE(text.contains('\x1b'));
  EXPECT_TRUE(text.contains("a b@xxx"));
  EXPECT_LT(text.size(), 300u);
}

TEST(QueueText, SaysWhatRedisRefusesToShow) {
  const ports::QueueLook look{.waiting = 3, .refused = "NOPERM no right"};
  EXPECT_EQ(queue_text(k_queue_pipe, look),
            "3 waiting\n… and 3 more\n\nNo more than this is shown: NOPERM no right\n");
  EXPECT_EQ(workers_text(k_queue_pipe, look), "Workers are not shown: NOPERM no right\n");
}

TEST(WorkersText, NamesThoseThatSayNothingByTheirLease) {
  EXPECT_EQ(workers_text(k_queue_pipe, some_look()),
            R"(WORKER          VERSION  UP    LEASE    BUILDS  ENGINE                          DOES
ops-1:42        2.0.0    2d3h  55s      1/4     docker unix:///run/docker.sock  paused by anna@ops since 2025-11-29T17:23:20Z: new disk; d1 (build)
lease cccccccc  older    -     over 7s  1       -                               d2
)");
}

TEST(WorkersText, TellsPausesOfThoseWhoAreNotHere) {
  ports::QueueLook look;
  look.pauses = {{"gone", {.by = "anna@ops"}}, {"*", {.by = "bob@ops"}}};
  EXPECT_EQ(workers_text(k_queue_pipe, look),
            "No worker has joined this queue. (Workers of guarantee C are not seen.)\n"
            "paused: gone, by anna@ops (no such worker is here)\n"
            "paused: all workers, by bob@ops\n");
}

TEST(DeadText, HasTheNumbersThatDropTakes) {
  EXPECT_EQ(dead_text(k_queue_pipe,
                      {{.reason = "unknown", .deployment = "d1", .bytes = 90, .time = k_now},
                       {.reason = "no job", .bytes = 7, .time = k_now}}),
            R"(NO  DEPLOYMENT  WHEN                     BYTES  REASON
1   d1          2025-11-29 17:23:20 UTC  90     unknown
2   -           2025-11-29 17:23:20 UTC  7      no job
)");
  EXPECT_EQ(dead_text(k_queue_pipe, {}), "There are no dead letters.\n");
}

TEST(DeploymentText, SaysEverythingOfOne) {
  ports::DeploymentLook look{.now = k_now, .attempts = 2};
  look.running = some_look().running[0];
  look.cancelled = k_now - seconds(4);
  look.checkpoint = {
      .commit = std::string(40, 'c'), .repository = "r.test/deployra/s1", .digest = "sha256:1"};
  EXPECT_EQ(deployment_text(k_queue_pipe, "d1", look), R"(Deployment   d1
State        running
Service      s1
Worker       ops-1:42, lease aaaaaaaa
Since        2m10s
Does         stops for newer d4; build: [2/5] RUN npm ci
Attempts     2
Cancelled    2025-11-29 17:23:16 UTC (4s ago)
Commit       cccccccccccccccccccccccccccccccccccccccc
Pushed       r.test/deployra/s1@sha256:1
Latest       not moved yet
)");
}

TEST(DeploymentText, NamesEveryState) {
  const auto state = [](const ports::DeploymentLook& look) { return state_of(look); };
  EXPECT_EQ(state({}), "unknown");
  EXPECT_EQ(state({.waiting = ports::WaitingJob{.position = 7}}), "queued");
  EXPECT_EQ(state({.waiting = ports::WaitingJob{}}), "set aside");
  EXPECT_EQ(state({.running = ports::BuiltJob{}, .status = "FAILED"}), "running");
  EXPECT_EQ(state({.status = "FAILED", .undelivered = ports::UndeliveredEnd{}}),
            "ended, not delivered");
  EXPECT_EQ(state({.status = "FAILED"}), "ended");
  EXPECT_EQ(state({.cancelled = k_now}), "cancelled");
  EXPECT_EQ(state({.dead = {{.reason = "unknown"}}}), "dropped");
}

TEST(ShortAge, GrowsWithItsUnits) {
  EXPECT_EQ(short_age(milliseconds(-5)), "0s");
  EXPECT_EQ(short_age(seconds(59)), "59s");
  EXPECT_EQ(short_age(seconds(61)), "1m01s");
  EXPECT_EQ(short_age(seconds(3'900)), "1h05m");
  EXPECT_EQ(short_age(seconds(90'000)), "1d1h");
}

TEST(QueueJson, HasTheFieldsOfTheDocument) {
  const Json queue = queue_json(some_look());
  EXPECT_EQ(queue["time"], "2025-11-29T17:23:20.123Z");
  EXPECT_EQ(queue["waiting"], 30);
  EXPECT_EQ(queue["queue"][0]["position"], 1);
  EXPECT_EQ(queue["queue"][0]["repository"], "octo/hello");
  EXPECT_EQ(queue["queue"][1]["deployment"], nullptr);
  EXPECT_EQ(queue["set_aside"][0]["behind"], "d1");
  EXPECT_EQ(queue["running"][0]["age_seconds"], 130.0);
  EXPECT_EQ(queue["running"][1]["worker"], nullptr);
  EXPECT_EQ(queue["ends"][0]["reason"], "user");
  EXPECT_EQ(queue["pauses"][0]["worker"], "ops-1");
  EXPECT_EQ(queue["pauses"][0]["note"], "new disk");
  EXPECT_EQ(queue["refused"], nullptr);
  const Json workers = workers_json(some_look());
  EXPECT_EQ(workers["workers"][0]["pid"], 42);
  EXPECT_EQ(workers["workers"][0]["running"][0]["deployment"], "d1");
  EXPECT_EQ(workers["workers"][0]["pause"]["by"], "anna@ops");
  EXPECT_EQ(workers["workers"][1]["version"], nullptr);
  EXPECT_EQ(workers["workers"][1]["lease_left_seconds"], -7.0);
}

TEST(QueueJson, IsValidUtf8WhateverJobsHold) {
  ports::QueueLook look;
  look.first = {{.position = 1, .branch = "\xff"}};
  const std::string text = dumped(queue_json(look), -1);
  EXPECT_EQ(text.find('\n'), text.size() - 1) << "one line";
  EXPECT_TRUE(text.contains("\ufffd"));
}

}  // namespace
}  // namespace builder::app::cli
