// The same suite runs against the fake, against the real server that REDIS_HOST and REDIS_PORT
// name, and there also without scripts.
#include "adapters/redis/leased/job_queue.hpp"

#include "adapters/redis/cancel_feed.hpp"
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "adapters/redis/unleased/unsafe_queue.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/memory_queue.hpp"

#include "contract/redis/fixture.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>

namespace builder {
namespace {

using namespace std::chrono_literals;

struct Subject {
  std::unique_ptr<ports::JobQueue> queue;
  std::function<void(const std::string&)> push;
};

Subject make_fake() {
  auto queue = std::make_unique<fakes::MemoryQueue>();
  auto* raw = queue.get();
  return {std::move(queue), [raw](const std::string& payload) { raw->push(payload); }};
}

Subject make_real(const std::string& kind, const std::string& folder) {
  const RedisConfig settings = config("q" + random_hex(6));
  auto connection =
      std::shared_ptr<Connection>(Connection::open(settings, "test", {}).value().release());
  return {kind == "unsafe" ? adapters::redis::make_unsafe_queue(
                                 settings, {.journal = folder + "/jobs"}, fakes::null_log())
                           : trusted_queue(settings, {}, fakes::null_log()),
          [connection, queue = settings.queue](const std::string& payload) {
            ASSERT_TRUE(connection->call({"RPUSH", queue, payload}, {}));
          }};
}

class JobQueueTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() != "fake" && variable("REDIS_PORT").empty()) {
      if (variable("CI") == "true") {
        FAIL() << "REDIS_PORT is not set";
      }
      GTEST_SKIP() << "REDIS_PORT is not set";
    }
    subject_ = GetParam() == "fake" ? make_fake() : make_real(GetParam(), folder_.path());
    queue().join(listener_);
  }

  void TearDown() override {
    if (subject_.queue) {
      queue().leave();
    }
  }

  ports::JobQueue& queue() { return *subject_.queue; }

  void push(const std::string& id, const std::string& service) {
    subject_.push(R"({"deploymentId":")" + id + R"(","serviceId":")" + service + "\"}");
  }

  ports::TakenJob take() {
    auto taken = queue().take(2s, {});
    EXPECT_TRUE(taken) << taken.error().message;
    EXPECT_TRUE(taken && *taken);
    return taken && *taken ? **taken : ports::TakenJob{};
  }

  std::string take_id() { return take().receipt.deployment.str(); }

  bool nothing_to_take() {
    const auto taken = queue().take(10ms, {});
    return taken && !*taken;
  }

  void end(const ports::TakenJob& job) {
    ASSERT_TRUE(queue().finish(job.receipt, builded()));
    ASSERT_TRUE(queue().settle(job.receipt, ports::Delivery::done, {}));
  }

  TempDir folder_ = TempDir::make(testing::TempDir(), "queue").value();
  Listener listener_;
  Subject subject_;
};

INSTANTIATE_TEST_SUITE_P(Peers, JobQueueTest, testing::Values("fake", "real", "unsafe"),
                         [](const auto& test) { return test.param; });

TEST_P(JobQueueTest, TakesInOrderAndEndsEachOnce) {
  push("a", "s1");
  push("b", "s2");
  const auto first = take();
  EXPECT_EQ(first.receipt.deployment.str(), "a");
  EXPECT_EQ(first.attempt, 1);
  EXPECT_TRUE(first.receipt.lease->holds());
  EXPECT_EQ(take_id(), "b");
  const auto ending = queue().finish(first.receipt, builded());
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->verdict, ports::Verdict::as_reported);
  EXPECT_EQ(ending->update.image_uri, "registry/x@sha256:1");
  EXPECT_EQ(ending->update.log->text, builded().log->text);
  EXPECT_TRUE(queue().settle(first.receipt, ports::Delivery::done, {}));
  EXPECT_EQ(queue().settle(first.receipt, ports::Delivery::done, {}).error().kind,
            ErrorKind::conflict);
  EXPECT_EQ(queue().finish(first.receipt, builded()).error().kind, ErrorKind::conflict);
}

TEST_P(JobQueueTest, AnEmptyQueueGivesNothingInTime) {
  // The first calls may come before the queue is joined.
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (!nothing_to_take() && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_TRUE(nothing_to_take());
}

TEST_P(JobQueueTest, AWaitingTakeGetsAJobAtOnce) {
  auto waiting = std::async(std::launch::async, [&] { return take_id(); });
  push("a", "s");
  EXPECT_EQ(waiting.get(), "a");
}

TEST_P(JobQueueTest, WhatHasEndedIsNotHandedOutAgain) {
  push("a", "s");
  end(take());
  push("a", "s");
  push("b", "s");
  EXPECT_EQ(take_id(), "b");
}

TEST_P(JobQueueTest, GivingBackPutsAJobFirstAndCountsNoAttempt) {
  push("a", "s1");
  push("b", "s2");
  const auto job = take();
  EXPECT_TRUE(queue().requeue(job.receipt));
  EXPECT_EQ(queue().requeue(job.receipt).error().kind, ErrorKind::conflict);
  const auto again = take();
  EXPECT_EQ(again.receipt.deployment.str(), "a");
  EXPECT_EQ(again.attempt, 1);
  EXPECT_EQ(take_id(), "b");
}

TEST_P(JobQueueTest, WhatWasRecordedComesWithTheNextAttempt) {
  push("a", "s1");
  const auto job = take();
  EXPECT_EQ(job.checkpoint, domain::Checkpoint{});
  const domain::Checkpoint checkpoint{.commit = std::string(40, 'c'),
                                      .repository = "registry.test/deployra/s1",
                                      .digest = "sha256:" + std::string(64, '1')};
  EXPECT_TRUE(queue().record(job.receipt, {.commit = checkpoint.commit}));
  EXPECT_TRUE(queue().record(job.receipt, checkpoint)) << "the last one counts";
  EXPECT_TRUE(queue().requeue(job.receipt));
  EXPECT_EQ(queue().record(job.receipt, {}).error().kind, ErrorKind::conflict);
  const auto again = take();
  EXPECT_EQ(again.checkpoint, checkpoint);
  end(again);
}

TEST_P(JobQueueTest, ThingsAreRememberedForAServiceByWhoBuildsIt) {
  push("a", "s1");
  push("b", "s2");
  const auto job = take();
  const auto other = take();
  const ports::ServiceMemory times{.service = domain::ServiceId("s1")};
  const ports::ServiceMemory images{.service = times.service,
                                    .what = ports::ServiceMemory::What::images};
  EXPECT_EQ(queue().recall(job.receipt, times).value(), "");
  const std::string text(100'000, 't');
  EXPECT_TRUE(queue().remember(job.receipt, times, "first"));
  EXPECT_TRUE(queue().remember(job.receipt, images, "image"));
  EXPECT_TRUE(queue().remember(job.receipt, times, text)) << "the last one counts";
  EXPECT_EQ(queue().recall(job.receipt, times).value(), text);
  EXPECT_EQ(queue().recall(job.receipt, images).value(), "image") << "each is on its own";
  EXPECT_EQ(queue().recall(other.receipt, {.service = domain::ServiceId("s2")}).value(), "");
  end(job);
  EXPECT_EQ(queue().remember(job.receipt, times, "late").error().kind, ErrorKind::conflict);
  EXPECT_EQ(queue().recall(job.receipt, times).error().kind, ErrorKind::conflict);
  push("c", "s1");
  const auto next = take();
  EXPECT_EQ(queue().recall(next.receipt, times).value(), text) << "outlives the deployment";
}

TEST_P(JobQueueTest, ANewerJobSupersedesTheOneThatIsBuiltAndWaitsForIt) {
  push("a", "s");
  const auto old_job = take();
  push("b", "s");
  push("c", "s");
  push("o", "other");
  EXPECT_EQ(take_id(), "o");
  EXPECT_EQ(listener_.stop_of("a"), ports::StopReason::superseded);
  EXPECT_TRUE(listener_.outbox) << "b is superseded by c";
  EXPECT_TRUE(nothing_to_take());
  EXPECT_EQ(queue().finish(old_job.receipt, builded())->verdict, ports::Verdict::superseded);
  EXPECT_EQ(take_id(), "c");
  const auto left = queue().adopt();
  ASSERT_TRUE(left && *left);
  EXPECT_EQ((*left)->receipt.deployment.str(), "b");
  EXPECT_EQ((*left)->ending.verdict, ports::Verdict::superseded);
}

TEST_P(JobQueueTest, AFullWorkerSeesNewerJobsWithoutTakingOthers) {
  push("a", "s");
  take();
  push("o", "other");
  push("b", "s");
  const auto seen = queue().look();
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ(*seen, (std::vector{domain::DeploymentId("o"), domain::DeploymentId("b")}));
  EXPECT_EQ(listener_.stop_of("a"), ports::StopReason::superseded);
  EXPECT_EQ(queue().length().value(), 2u);
  EXPECT_EQ(take_id(), "o");
}

TEST_P(JobQueueTest, AServiceThatIsPushedOftenKeepsItsPlaceBehindOthers) {
  push("a", "s");
  auto job = take();
  push("o", "other");
  push("b", "s");
  push("c", "s");
  ASSERT_TRUE(queue().look());
  EXPECT_TRUE(listener_.outbox) << "b is superseded by c";
  EXPECT_EQ(queue().finish(job.receipt, builded())->verdict, ports::Verdict::superseded);
  EXPECT_EQ(take_id(), "o");
  EXPECT_EQ(take_id(), "c");
  EXPECT_TRUE(nothing_to_take());
}

TEST_P(JobQueueTest, AJobThatWaitedIsSupersededByOneThatIsQueued) {
  push("a", "s");
  const auto job = take();
  push("b", "s");
  EXPECT_TRUE(nothing_to_take());
  push("o", "other");
  push("c", "s");
  push("c", "s");
  ASSERT_TRUE(queue().look());
  EXPECT_TRUE(listener_.outbox);
  EXPECT_EQ(queue().finish(job.receipt, builded())->verdict, ports::Verdict::superseded);
  EXPECT_EQ(take_id(), "o");
  EXPECT_EQ(take_id(), "c");
  EXPECT_TRUE(nothing_to_take());
}

TEST_P(JobQueueTest, ACancelOfAQueuedJobRemovesItAndLeavesItsEnd) {
  push("a", "s1");
  push("b", "s2");
  EXPECT_EQ(queue().cancel(domain::DeploymentId("a")).value(), ports::CancelAnswer::removed);
  EXPECT_EQ(take_id(), "b");
  const auto left = queue().adopt();
  ASSERT_TRUE(left && *left);
  EXPECT_EQ((*left)->ending.verdict, ports::Verdict::cancelled_by_user);
  EXPECT_TRUE(queue().settle((*left)->receipt, ports::Delivery::later, {}));
  EXPECT_TRUE(queue().adopt().value());
  EXPECT_FALSE(queue().adopt().value());
}

TEST_P(JobQueueTest, ACancelIsRememberedForAJobThatComesLater) {
  EXPECT_EQ(queue().cancel(domain::DeploymentId("a")).value(), ports::CancelAnswer::noted);
  push("a", "s");
  push("b", "s");
  EXPECT_EQ(take_id(), "b");
  EXPECT_TRUE(listener_.outbox);
}

TEST_P(JobQueueTest, ACancelBeforeTheEndWinsAndOneAfterItIsLate) {
  push("a", "s");
  const auto job = take();
  EXPECT_EQ(queue().cancel(domain::DeploymentId("a")).value(), ports::CancelAnswer::owned);
  EXPECT_EQ(queue().finish(job.receipt, builded())->verdict, ports::Verdict::cancelled_by_user);
  EXPECT_TRUE(queue().settle(job.receipt, ports::Delivery::done, {}));
  EXPECT_EQ(queue().cancel(domain::DeploymentId("a")).value(), ports::CancelAnswer::late);
}

TEST_P(JobQueueTest, ACancelOfAnUndeliveredEndChangesIt) {
  push("a", "s");
  const auto job = take();
  ASSERT_TRUE(queue().finish(job.receipt, builded()));
  EXPECT_EQ(queue().cancel(domain::DeploymentId("a")).value(), ports::CancelAnswer::reporting);
  EXPECT_EQ(queue().finish(job.receipt, builded())->verdict, ports::Verdict::cancelled_by_user);
}

TEST_P(JobQueueTest, GarbageIsDropped) {
  subject_.push("not json");
  subject_.push(R"({"deploymentId":"../x"})");
  push("a", "s");
  EXPECT_EQ(take_id(), "a");
  EXPECT_EQ(listener_.malformed, 2);
}

TEST_P(JobQueueTest, LeavingGivesBackWhatIsOurs) {
  push("a", "s1");
  const auto job = take();
  queue().leave();
  EXPECT_EQ(queue().length().value(), 1u);
}

TEST_P(JobQueueTest, AStopDuringTakeLosesNoJob) {
  for (int round = 0; round < 100; ++round) {
    const std::string id = "r" + std::to_string(round);
    std::stop_source stop;
    std::jthread stopper([&] { stop.request_stop(); });
    std::jthread pusher([&] { push(id, "s"); });
    const auto taken = queue().take(5s, stop.get_token());
    stopper.join();
    pusher.join();
    if (taken && *taken) {
      end(**taken);
    } else {
      const auto job = take();
      ASSERT_EQ(job.receipt.deployment.str(), id) << "round " << round;
      end(job);
    }
  }
}

TEST_F(RealRedisTest, SurvivesTheLossOfEveryConnection) {
  const RedisConfig settings = config("q" + random_hex(6));
  const auto queue = trusted_queue(settings, {}, fakes::null_log());
  Listener listener;
  queue->join(listener);
  const auto other = Connection::open(settings, "other", {}).value();
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(other->call({"RPUSH", settings.queue, job("a" + std::to_string(round))}, {}));
    std::optional<ports::TakenJob> taken;
    while (!taken) {
      auto result = queue->take(2s, {});
      if (result) {
        taken = *result;
      }
    }
    ASSERT_TRUE(other->call({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}, {}));
    ASSERT_TRUE(queue->finish(taken->receipt, builded()));
    ASSERT_TRUE(queue->settle(taken->receipt, ports::Delivery::done, {}));
  }
  queue->leave();
}

TEST_F(RealRedisTest, WhatASilentWorkerHadGoesToAnother) {
  const RedisConfig settings = config("q" + random_hex(6));
  Listener listener;
  const auto silent = Connection::open(settings, "silent", {}).value();
  ASSERT_TRUE(silent->call({"RPUSH", settings.queue, job("a")}, {}));
  const adapters::redis::Script beat(adapters::redis::scripts::k_beat, settings.queue);
  const adapters::redis::Script take(adapters::redis::scripts::k_take, settings.queue);
  ASSERT_TRUE(beat.run(*silent, {"dead-lease", "50", "1"}));
  ASSERT_EQ(take.run(*silent, {"dead-lease", "3"})->list.at(0).text, "JOB");

  adapters::redis::QueueSettings quick;
  quick.lease = 300ms;
  const auto queue = trusted_queue(settings, quick, fakes::null_log());
  queue->join(listener);
  std::optional<ports::TakenJob> taken;
  for (int i = 0; i < 10 && !taken; ++i) {
    taken = queue->take(2s, {}).value_or(std::nullopt);
  }
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->attempt, 2);
  queue->leave();
}

TEST_F(RealRedisTest, ACancelBehindThePostLeavesWhatWasPosted) {
  const RedisConfig settings = config("q" + random_hex(6));
  Listener listener;
  const auto queue = trusted_queue(settings, {}, fakes::null_log());
  queue->join(listener);
  const auto other = Connection::open(settings, "other", {}).value();
  ASSERT_TRUE(other->call({"RPUSH", settings.queue, job("a")}, {}));
  const auto taken = queue->take(5s, {}).value();
  ASSERT_TRUE(taken);
  ASSERT_TRUE(queue->finish(taken->receipt, builded()));
  EXPECT_EQ(queue->cancel(domain::DeploymentId("a")).value(), ports::CancelAnswer::reporting);
  ASSERT_TRUE(
      queue->settle(taken->receipt, ports::Delivery::done, ports::DeploymentStatus::builded));
  const auto fin = adapters::redis::own_key(settings.queue, "fin");
  EXPECT_EQ(other->call({"HGET", fin, "a"}, {})->text, "BUILDED");
  queue->leave();
}

TEST_F(RealRedisTest, ALeaseThatWasTakenAwayStopsEverythingAndANewOneBegins) {
  const RedisConfig settings = config("q" + random_hex(6));
  Listener listener;
  adapters::redis::QueueSettings quick;
  quick.lease = 600ms;
  const auto queue = trusted_queue(settings, quick, fakes::null_log());
  queue->join(listener);
  const auto other = Connection::open(settings, "other", {}).value();
  ASSERT_TRUE(other->call({"RPUSH", settings.queue, job("a")}, {}));
  const auto taken = queue->take(5s, {}).value();
  ASSERT_TRUE(taken);
  const adapters::redis::Script reap(adapters::redis::scripts::k_reap, settings.queue);
  ASSERT_EQ(reap.run(*other, {taken->receipt.lease_id})->list.at(1).integer, 1);
  const auto again = [&] {
    for (;;) {
      if (auto job = queue->take(2s, {}); job && *job) {
        return **job;
      }
    }
  }();
  EXPECT_EQ(again.receipt.deployment.str(), "a");
  EXPECT_NE(again.receipt.lease_id, taken->receipt.lease_id);
  EXPECT_EQ(listener.stop_of("a"), ports::StopReason::lost_lease);
  EXPECT_FALSE(taken->receipt.lease->holds());
  EXPECT_FALSE(taken->receipt.lease->wait({}));
  EXPECT_EQ(queue->finish(taken->receipt, builded()).error().kind, ErrorKind::conflict);
  EXPECT_TRUE(queue->finish(again.receipt, builded()));
  queue->leave();
}

TEST_F(RealRedisTest, RecoverGivesBackWhatVersion10AndDeadProcessesLeft) {
  const RedisConfig settings = config("q" + random_hex(6));
  const auto other = Connection::open(settings, "other", {}).value();
  const auto own = [&](const char* suffix) {
    return adapters::redis::own_key(settings.queue, suffix);
  };
  ASSERT_TRUE(other->call({"RPUSH", own("taken:w1"), job("a"), job("b")}, {}));
  ASSERT_TRUE(other->call({"ZADD", own("cancelled"), "99999999999", "b"}, {}));
  ASSERT_TRUE(other->call({"RPUSH", settings.queue, job("c")}, {}));
  const adapters::redis::Script beat(adapters::redis::scripts::k_beat, settings.queue);
  const adapters::redis::Script take(adapters::redis::scripts::k_take, settings.queue);
  ASSERT_TRUE(beat.run(*other, {"dead-lease", "600000", "1"}));
  ASSERT_EQ(take.run(*other, {"dead-lease", "3"})->list.at(0).text, "JOB");

  adapters::redis::QueueSettings after;
  after.old_worker_id = "w1";
  after.ended_leases = {"dead-lease"};
  bool recovered = false;
  after.recovered = [&] { recovered = true; };
  const auto queue = trusted_queue(settings, after, fakes::null_log());
  Listener listener;
  EXPECT_EQ(queue->recover().value(), 3u);
  EXPECT_TRUE(recovered);
  queue->join(listener);
  const auto first = queue->take(2s, {}).value();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->receipt.deployment.str(), "a");
  EXPECT_FALSE(queue->adopt().value());
  EXPECT_FALSE(queue->take(10ms, {}).value()) << "b is cancelled, c waits for a";
  EXPECT_TRUE(queue->adopt().value());
  queue->leave();
}

TEST_F(RealRedisTest, AWrongPasswordIsDeniedAndNotShown) {
  RedisConfig settings = config("q");
  settings.password = Secret("wrong-password");
  const auto queue = adapters::redis::make_job_queue(settings, {}, fakes::null_log());
  const auto length = queue->length();
  ASSERT_FALSE(length);
  EXPECT_EQ(length.error().kind, ErrorKind::denied);
  EXPECT_FALSE(length.error().message.contains("wrong-password"));
}

TEST_F(RealRedisTest, TheCancelFeedHearsEveryMessageAndHealsByItself) {
  const RedisConfig settings = config("q" + random_hex(6));
  const auto feed = adapters::redis::make_cancel_feed(settings, fakes::null_log());
  std::atomic<int> heard = 0;
  std::jthread listener([&](const std::stop_token& stop) {
    feed->run(stop, [&](const domain::DeploymentId& id) { heard += id.str() == "d1" ? 1 : 100; });
  });
  const auto other = Connection::open(settings, "other", {}).value();
  const auto say = [&](const char* message) {
    return other->call({"PUBLISH", settings.cancel_channel, message}, {}).value().integer;
  };
  ASSERT_TRUE(eventually([&] { return feed->subscribed().has_value(); }));
  for (const char* bad :
       {"", "x", "[]", "{}", R"({"deploymentId":5})", R"({"deploymentId":"../x"})"}) {
    say(bad);
  }
  say(R"({"deploymentId":"d1"})");
  ASSERT_TRUE(eventually([&] { return heard == 1; }));
  ASSERT_TRUE(other->call({"CLIENT", "KILL", "TYPE", "pubsub"}, {}));
  // Redis may count the killed connection for a moment: say it until it is heard.
  ASSERT_TRUE(eventually([&] {
    say(R"({"deploymentId":"d1"})");
    return heard >= 2;
  }));
  EXPECT_LT(heard, 100);
}

TEST_F(RealRedisTest, AnEndThatNobodyCouldDeliverForDaysIsToldAndKeptForTheOperator) {
  const RedisConfig settings = config("q" + random_hex(6));
  const auto other = Connection::open(settings, "other", {}).value();
  const std::string out = "{" + settings.queue + "}:out";
  ASSERT_TRUE(other->call({"HSET", out, "old", R"(- 1000 {"status":"FAILED","error":"e"})"}, {}));
  Listener listener;
  const auto queue = trusted_queue(settings, {}, fakes::null_log());
  queue->join(listener);
  ASSERT_TRUE(eventually([&] { return queue->length().has_value(); }));
  EXPECT_FALSE(queue->adopt().value());
  EXPECT_EQ(listener.given_up_ones(), std::vector<std::string>{"old"});
  EXPECT_EQ(other->call({"HLEN", out}, {})->integer, 0);
  EXPECT_EQ(other->call({"LLEN", "{" + settings.queue + "}:dead"}, {})->integer, 1);
  queue->leave();
}

/// What a Redis that was set back makes of finished work: the elements are there again.
class OldStateTest : public RealRedisTest {
 protected:
  void SetUp() override {
    RealRedisTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    other_ = Connection::open(settings_, "other", {}).value();
    adapters::redis::QueueSettings quick;
    quick.lease = 3s;
    queue_ = adapters::redis::make_job_queue(settings_, quick, fakes::null_log());
    queue_->join(listener_);
  }

  void TearDown() override {
    if (queue_) {
      queue_->leave();
    }
  }

  /// How many were dropped. The server may have been started a moment ago.
  std::size_t vet(const std::vector<std::string>& ended) {
    std::vector<domain::DeploymentId> ids;
    for (const std::string& id : ended) {
      ids.emplace_back(id);
    }
    Result<std::size_t> dropped = std::size_t{0};
    EXPECT_TRUE(eventually([&] { return bool(dropped = queue_->vetted(ids)); }));
    return dropped.value_or(0);
  }

  void push(const std::string& id) {
    ASSERT_TRUE(other_->call({"RPUSH", settings_.queue,
                              R"({"deploymentId":")" + id + R"(","serviceId":"s)" + id + "\"}"},
                             {}));
  }

  std::vector<std::string> doubtful() {
    std::vector<std::string> ids;
    const auto found = queue_->doubtful().value();
    for (const std::string& element : found.value_or(std::vector<std::string>())) {
      ids.push_back(element.substr(17, element.find('"', 17) - 17));
    }
    return ids;
  }

  std::string take() {
    const auto taken = queue_->take(100ms, {}).value();
    return taken ? taken->receipt.deployment.str() : "nothing";
  }

  const RedisConfig settings_ = config("q" + random_hex(6));
  Listener listener_;
  std::unique_ptr<Connection> other_;
  std::unique_ptr<ports::JobQueue> queue_;
};

TEST_F(OldStateTest, NothingIsTakenUntilTheElementsAreVetted) {
  push("a");
  push("b");
  EXPECT_EQ(take(), "nothing");
  EXPECT_TRUE(queue_->look().value().empty());
  EXPECT_EQ(doubtful(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(vet({"a"}), 1U);
  EXPECT_EQ(take(), "b");
  EXPECT_EQ(take(), "nothing") << "what has ended is dropped";
  const auto dead =
      other_->call({"LRANGE", "{" + settings_.queue + "}:dead", "0", "-1"}, {}).value();
  ASSERT_EQ(dead.list.size(), 1U);
  EXPECT_TRUE(dead.list[0].text.contains("built before"));
  push("a");
  push("c");
  EXPECT_FALSE(queue_->doubtful().value()) << "vetted once for each start of the server";
  EXPECT_EQ(take(), "c");
}

TEST_F(OldStateTest, WhatRedisRemembersIsInNoDoubt) {
  const auto key = [&](const char* name) { return "{" + settings_.queue + "}:" + name; };
  for (const char* id : {"seen", "att", "stage", "new"}) {
    push(id);
  }
  ASSERT_TRUE(other_->call({"ZADD", key("seen"), "9999999999999", "seen"}, {}));
  ASSERT_TRUE(other_->call({"HSET", key("att"), "att", "1"}, {}));
  ASSERT_TRUE(other_->call({"HSET", key("stage"), "stage", "{}"}, {}));
  EXPECT_EQ(doubtful(), (std::vector<std::string>{"new"}));
  // They were begun while the registry was asked.
  EXPECT_EQ(vet({"att", "stage"}), 0U);
  EXPECT_EQ(take(), "att");
  EXPECT_EQ(take(), "stage");
  EXPECT_EQ(take(), "new");
}

TEST_F(OldStateTest, MoreElementsThanOneCallLooksAt) {
  std::vector<std::string> push{"RPUSH", settings_.queue};
  for (int i = 0; i < 2'500; ++i) {
    push.push_back(job("d" + std::to_string(i)));
  }
  ASSERT_TRUE(other_->call(push, {}));
  EXPECT_EQ(queue_->doubtful().value()->size(), 2'500U);
}

TEST_F(OldStateTest, WhatALivingWorkerRunsHasNotEnded) {
  ASSERT_TRUE(queue_->doubtful());
  ASSERT_TRUE(queue_->vetted({}));
  push("a");
  EXPECT_EQ(take(), "a");
  // An old state comes back: the worker unknown, the element in the queue.
  const auto keys = other_->call({"KEYS", "{" + settings_.queue + "}:*"}, {}).value();
  for (const auto& key : keys.list) {
    ASSERT_TRUE(other_->call({"DEL", key.text}, {}));
  }
  push("a");
  ASSERT_TRUE(eventually([&] {
    return other_->call({"HEXISTS", "{" + settings_.queue + "}:stage", "a"}, {})->integer == 1;
  }));
  const auto another = adapters::redis::make_job_queue(settings_, {}, fakes::null_log());
  EXPECT_TRUE(another->doubtful().value()->empty());
}

}  // namespace
}  // namespace builder
