// What people see of the queue and do to it, beside workers on a real server.
#include "adapters/redis/leased/queue_admin.hpp"

#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "base/text.hpp"
#include "fakes/fake_steps.hpp"

#include "contract/redis/fixture.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace builder {
namespace {

using namespace std::chrono_literals;
using adapters::redis::own_key;
using adapters::redis::Script;
using domain::CancelAnswer;
using domain::DeploymentId;

class QueueAdminTest : public RealRedisTest {
 protected:
  void SetUp() override {
    RealRedisTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    connection_ = Connection::open(settings_, "test", {}).value();
    admin_ = adapters::redis::make_queue_admin(settings_);
  }

  void TearDown() override {
    if (worker_) {
      worker_->leave();
    }
  }

  void raw(const std::vector<std::string>& command) { ASSERT_TRUE(connection_->call(command, {})); }

  void push(const std::string& id, const std::string& service) {
    raw({"RPUSH", settings_.queue,
         R"({"deploymentId":")" + id + R"(","serviceId":")" + service +
             R"(","commitSha":"","branch":"main","repositoryName":"octo/hello"})"});
  }

  /// A worker of this version has joined, and has said who it is.
  void start_worker() {
    adapters::redis::QueueSettings settings;
    settings.identity = {
        .host = "ops-1", .pid = 42, .version = "2.0.0", .engine = "docker x", .slots = 4};
    worker_ = trusted_queue(settings_, settings, fakes::null_log());
    worker_->join(listener_);
    ASSERT_TRUE(eventually([this] {
      const auto seen = look();
      return !seen.workers.empty() && seen.workers.front().identity;
    }));
  }

  ports::TakenJob take() {
    auto taken = worker_->take(2s, {});
    EXPECT_TRUE(taken && *taken);
    return taken && *taken ? **taken : ports::TakenJob{};
  }

  ports::QueueLook look(std::size_t most = 20) {
    auto look = admin_->look(most, {});
    EXPECT_TRUE(look) << (look ? "" : look.error().message);
    return look ? *std::move(look) : ports::QueueLook();
  }

  ports::DeploymentLook find(const std::string& id) {
    auto found = admin_->find(DeploymentId(id), {});
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found ? *std::move(found) : ports::DeploymentLook();
  }

  CancelAnswer cancel(const std::string& id) {
    const auto done = admin_->cancel(DeploymentId(id), {});
    EXPECT_TRUE(done && done->answer);
    return done && done->answer ? *done->answer : CancelAnswer::noted;
  }

  const RedisConfig settings_ = config("q" + random_hex(6));
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<ports::QueueAdmin> admin_;
  std::unique_ptr<ports::JobQueue> worker_;
  Listener listener_;
};

TEST_F(QueueAdminTest, AnEmptyQueueHasNothing) {
  const auto seen = look();
  EXPECT_EQ(seen.waiting, 0u);
  EXPECT_TRUE(seen.first.empty() && seen.running.empty() && seen.workers.empty());
  EXPECT_EQ(seen.refused, "");
  EXPECT_GT(seen.now.time_since_epoch().count(), 0);
  EXPECT_FALSE(find("a").known());
}

TEST_F(QueueAdminTest, APlaceIsTheTurnAndWorkersTakeInThisOrder) {
  start_worker();
  const auto push_of = [this](const std::string& owner, const std::string& id) {
    raw({"RPUSH", settings_.queue,
         R"({"deploymentId":")" + id + R"(","serviceId":"s-)" + id +
             R"(","gitProvider":{"type":"GITHUB","githubAccount":{"username":")" + owner +
             R"("}}})"});
  };
  push_of("b", "b0");
  ASSERT_TRUE(worker_->finish(take().receipt, builded()));
  push_of("a", "a0");
  take();
  for (const char* id : {"a1", "a2", "a3"}) {
    push_of("a", id);
  }
  push_of("b", "b1");
  push_of("b", "b2");
  std::vector<std::string> places;
  for (const ports::WaitingJob& job : look().first) {
    places.push_back(job.deployment);
    EXPECT_EQ(job.position, places.size());
    EXPECT_EQ(find(job.deployment).waiting->position, places.size()) << job.deployment;
  }
  EXPECT_EQ(places, std::vector<std::string>({"b1", "a1", "b2", "a2", "a3"}));
  EXPECT_EQ(look(2).first.size(), 2u);
  EXPECT_EQ(look(2).first.front().deployment, "b1");

  RedisConfig in_order = settings_;
  in_order.order = domain::QueueOrder::fifo;
  EXPECT_EQ(adapters::redis::make_queue_admin(in_order)->look(1, {}).value().first[0].deployment,
            "a1");

  // As if each build took the same time: the oldest ends first.
  std::vector<std::string> taken;
  auto oldest = ports::Receipt{DeploymentId("a0"), look().running.at(0).lease_id, nullptr};
  for (std::size_t i = 0; i < places.size(); ++i) {
    ASSERT_TRUE(worker_->finish(oldest, builded()));
    const auto job = take();
    taken.push_back(job.receipt.deployment.str());
    oldest = job.receipt;
  }
  EXPECT_EQ(taken, places);
}

TEST_F(QueueAdminTest, ALookShowsEveryPlaceOfAJob) {
  start_worker();
  push("a", "s");
  const auto job = take();
  listener_.does(
      {.age = 60s, .running = {{.deployment = DeploymentId("a"), .phase = "build", .age = 5s}}});
  push("b", "s");
  EXPECT_FALSE(worker_->take(10ms, {}).value()) << "b waits for a";
  push("c", "t");
  raw({"RPUSH", settings_.queue, "garbage"});
  EXPECT_EQ(cancel("a"), CancelAnswer::owned);
  worker_->activity_changed();
  ASSERT_TRUE(eventually([this] { return !look().running.at(0).phase.empty(); }))
      << "a worker says at once what has changed";

  const auto seen = look();
  EXPECT_EQ(seen.waiting, 2u);
  ASSERT_EQ(seen.first.size(), 2u);
  EXPECT_EQ(seen.first[0].deployment, "c");
  EXPECT_EQ(seen.first[0].position, 1u);
  EXPECT_EQ(seen.first[0].repository, "octo/hello");
  EXPECT_EQ(seen.first[1].deployment, "");
  ASSERT_EQ(seen.set_aside.size(), 1u);
  EXPECT_EQ(seen.set_aside[0].deployment, "b");
  EXPECT_EQ(seen.set_aside[0].behind, "a");
  ASSERT_EQ(seen.running.size(), 1u);
  EXPECT_EQ(seen.running[0].deployment, "a");
  EXPECT_EQ(seen.running[0].service, "s");
  EXPECT_EQ(seen.running[0].worker, "ops-1:42");
  EXPECT_EQ(seen.running[0].phase, "build");
  EXPECT_GE(*seen.running[0].age, 5s);
  EXPECT_TRUE(seen.running[0].cancelled);
  EXPECT_EQ(seen.running[0].superseded_by, "b");
  ASSERT_EQ(seen.workers.size(), 1u);
  EXPECT_EQ(seen.workers[0].identity->version, "2.0.0");
  EXPECT_EQ(seen.workers[0].running, std::vector<std::string>{"a"});
  EXPECT_GT(seen.workers[0].lease_left, 0ms);

  ASSERT_TRUE(worker_->finish(job.receipt, builded()));
  const auto after = look();
  EXPECT_TRUE(after.running.empty());
  EXPECT_EQ(after.undelivered, 1u);
  ASSERT_EQ(after.ends.size(), 1u);
  EXPECT_EQ(after.ends[0].deployment, "a");
  EXPECT_EQ(after.ends[0].status, "CANCELLED");
  EXPECT_EQ(after.ends[0].sender, job.receipt.lease_id);
  EXPECT_EQ(after.workers.at(0).delivering, 1u);
  EXPECT_EQ(after.first.at(0).deployment, "b") << "set aside no more";
}

TEST_F(QueueAdminTest, ADeploymentIsFoundWhereverItIs) {
  start_worker();
  push("a", "s");
  const auto job = take();
  ASSERT_TRUE(worker_->record(job.receipt, {.commit = std::string(40, 'c')}));
  EXPECT_EQ(find("a").running->worker, "ops-1:42");
  EXPECT_EQ(find("a").checkpoint.commit, std::string(40, 'c'));
  EXPECT_EQ(find("a").attempts, 1);
  push("b", "s");
  EXPECT_FALSE(worker_->take(10ms, {}).value());
  EXPECT_EQ(find("b").waiting->behind, "a");
  EXPECT_EQ(find("a").superseded_by, "b");
  ASSERT_TRUE(worker_->finish(job.receipt, builded()));
  EXPECT_EQ(find("a").undelivered->reason, "superseded");
  ASSERT_TRUE(worker_->settle(job.receipt, ports::Delivery::unknown, {}));
  const auto ended = find("a");
  EXPECT_FALSE(ended.undelivered);
  EXPECT_EQ(ended.status, "CANCELLED");
  ASSERT_TRUE(ended.ended);
  EXPECT_LT(ended.now - *ended.ended, 60s);
  ASSERT_EQ(ended.dead.size(), 1u);
  EXPECT_EQ(ended.dead[0].reason, "unknown");
  EXPECT_EQ(cancel("x"), CancelAnswer::noted);
  ASSERT_TRUE(find("x").cancelled);
  EXPECT_LT(find("x").now - *find("x").cancelled, 60s);
}

TEST_F(QueueAdminTest, APlaceFarBehindIsFoundAndCounted) {
  for (int i = 1; i <= 1'203; ++i) {
    push("d" + std::to_string(i), "s");
  }
  for (const std::size_t place : {1u, 100u, 101u, 203u, 204u, 703u, 704u, 1'203u}) {
    const auto found = find("d" + std::to_string(place));
    ASSERT_TRUE(found.waiting) << place;
    EXPECT_EQ(found.waiting->position, place);
    EXPECT_EQ(found.waiting_in_all, 1'203u);
  }
  EXPECT_FALSE(find("d1204").known());
  const auto seen = look(250);
  EXPECT_EQ(seen.waiting, 1'203u);
  ASSERT_EQ(seen.first.size(), 250u);
  for (std::size_t i = 0; i < seen.first.size(); ++i) {
    EXPECT_EQ(seen.first[i].position, i + 1);
    EXPECT_EQ(seen.first[i].deployment, "d" + std::to_string(i + 1));
  }
  EXPECT_TRUE(look(0).first.empty());
  EXPECT_EQ(look(2'000).first.size(), 1'203u);
}

TEST_F(QueueAdminTest, AJobIsQueuedBehindAllOthers) {
  push("a", "s");
  EXPECT_EQ(admin_->submit(job("b"), {}).value(), 2u);
  start_worker();
  EXPECT_EQ(take().receipt.deployment.str(), "a");
}

TEST_F(QueueAdminTest, ACancelIsRecordedAndPublished) {
  auto subscriber = Connection::open(settings_, "subscriber", {}).value();
  ASSERT_TRUE(subscriber->call({"SUBSCRIBE", settings_.cancel_channel}, {}));
  start_worker();
  push("a", "s");
  push("b", "t");
  const auto done = admin_->cancel(DeploymentId("b"), {});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->answer, CancelAnswer::removed);
  EXPECT_EQ(done->listeners, 1);
  const auto message = subscriber->receive({}, std::chrono::steady_clock::now() + 5s);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->list.at(2).text, R"({"deploymentId":"b"})");
  EXPECT_EQ(find("b").status, "CANCELLED");
  const auto job = take();
  ASSERT_TRUE(worker_->finish(job.receipt, builded()));
  EXPECT_EQ(cancel("a"), CancelAnswer::reporting);
  ASSERT_TRUE(worker_->settle(job.receipt, ports::Delivery::done, {}));
  const auto late = admin_->cancel(DeploymentId("a"), {});
  EXPECT_EQ(late->answer, CancelAnswer::late);
  EXPECT_EQ(late->status, "CANCELLED");
}

TEST_F(QueueAdminTest, WhereWorkersHaveNoLeasesACancelIsOnlyPublished) {
  auto subscriber = Connection::open(settings_, "subscriber", {}).value();
  ASSERT_TRUE(subscriber->call({"SUBSCRIBE", settings_.cancel_channel}, {}));
  push("a", "s");
  const auto done = admin_->cancel(DeploymentId("a"), {});
  ASSERT_TRUE(done);
  EXPECT_FALSE(done->answer);
  EXPECT_EQ(done->listeners, 1);
  EXPECT_EQ(look().waiting, 1u) << "the listener has to do it";
}

TEST_F(QueueAdminTest, WithoutAnyWorkerACancelIsRecordedForTheNext) {
  push("a", "s");
  EXPECT_EQ(cancel("a"), CancelAnswer::removed);
  EXPECT_EQ(look().undelivered, 1u);
}

TEST_F(QueueAdminTest, DeadLettersAreDroppedByWhatTheyAre) {
  raw({"RPUSH", settings_.queue, "one", "two"});
  start_worker();
  EXPECT_FALSE(worker_->take(10ms, {}).value());
  const auto letters = admin_->dead({}).value();
  ASSERT_EQ(letters.size(), 2u);
  EXPECT_EQ(letters[0].reason, "no job");
  EXPECT_EQ(letters[0].bytes, 3u);
  EXPECT_EQ(look().dead, 2u);
  raw({"RPUSH", settings_.queue, "three"});
  EXPECT_FALSE(worker_->take(10ms, {}).value());
  EXPECT_EQ(admin_->drop({letters[0]}, {}).value(), 1u) << "though another one came before it";
  EXPECT_EQ(admin_->drop({letters[0]}, {}).value(), 0u);
  const auto left = admin_->dead({}).value();
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[1].entry, letters[1].entry);
}

TEST_F(QueueAdminTest, APausedWorkerTakesNothingAtOnceAndGoesOn) {
  for (const std::string name : {"*", "ops-1", "ops-1:42"}) {
    if (!worker_) {
      start_worker();
    }
    push("before" + std::to_string(name.size()), "s" + std::to_string(name.size()));
    const auto running = take();
    ASSERT_TRUE(admin_->pause(name, {.note = "disk", .by = "anna", .since = {}}, {}));
    push("a" + std::to_string(name.size()), "t" + std::to_string(name.size()));
    EXPECT_FALSE(worker_->take(10ms, {}).value()) << name;
    ASSERT_TRUE(worker_->pause()) << name;
    EXPECT_EQ(worker_->pause()->note, "disk");
    EXPECT_GT(worker_->pause()->since.time_since_epoch().count(), 0);
    EXPECT_EQ(look().workers.at(0).pause, worker_->pause());
    EXPECT_EQ(look().pauses.at(0).whose, name);
    EXPECT_TRUE(worker_->finish(running.receipt, builded())) << "what runs goes on";
    EXPECT_TRUE(worker_->settle(running.receipt, ports::Delivery::done, {}));
    EXPECT_TRUE(admin_->resume(name, {}).value());
    EXPECT_FALSE(admin_->resume(name, {}).value()) << "it is over";
    const auto next = take();
    EXPECT_FALSE(worker_->pause());
    EXPECT_TRUE(worker_->finish(next.receipt, builded()));
  }
}

TEST_F(QueueAdminTest, APauseOfAnotherWorkerIsNoneOfOurs) {
  start_worker();
  ASSERT_TRUE(admin_->pause("ops-2", {}, {}));
  ASSERT_TRUE(admin_->pause("ops-1:43", {}, {}));
  push("a", "s");
  EXPECT_EQ(take().receipt.deployment.str(), "a");
}

TEST_F(QueueAdminTest, AWorkerThatTakesNothingHearsOfAPauseByItsBeat) {
  start_worker();
  ASSERT_TRUE(admin_->pause("*", {.note = "n", .by = "", .since = {}}, {}));
  worker_->activity_changed();
  EXPECT_TRUE(eventually([this] { return worker_->pause().has_value(); }));
}

TEST_F(QueueAdminTest, AnEntryEndsWithTheLease) {
  start_worker();
  ASSERT_EQ(connection_->call({"HLEN", own_key(settings_.queue, "about")}, {})->integer, 1);
  worker_->leave();
  worker_.reset();
  EXPECT_EQ(connection_->call({"HLEN", own_key(settings_.queue, "about")}, {})->integer, 0);
  EXPECT_TRUE(look().workers.empty());
}

TEST_F(QueueAdminTest, AWorkerOfAnOlderVersionIsShownWithWhatIsKnown) {
  // It writes its lease as ever, and retires others without removing their entries.
  raw({"ZADD", own_key(settings_.queue, "workers"), "99999999999999", "old-lease"});
  raw({"HSET", own_key(settings_.queue, "own"), "a", "old-lease s"});
  raw({"HSET", own_key(settings_.queue, "about"), "retired-lease", "1 {}"});
  start_worker();
  ASSERT_TRUE(eventually([this] {
    return connection_->call({"HEXISTS", own_key(settings_.queue, "about"), "retired-lease"}, {})
               ->integer == 0;
  })) << "what nobody has a lease for is removed";
  const auto seen = look();
  ASSERT_EQ(seen.workers.size(), 2u);
  EXPECT_EQ(seen.workers[0].identity->host, "ops-1");
  EXPECT_EQ(seen.workers[1].lease_id, "old-lease");
  EXPECT_FALSE(seen.workers[1].identity);
  EXPECT_EQ(seen.workers[1].running, std::vector<std::string>{"a"});
  EXPECT_EQ(seen.running.at(0).worker, "");
}

TEST_F(QueueAdminTest, WithoutRightsToMoreWhatWaitsIsShown) {
  push("a", "s");
  push("b", "s");
  const std::string user = "u" + random_hex(6);
  raw({"ACL", "SETUSER", user, "on", ">secret-of-user", "~" + settings_.queue, "-@all", "+auth",
       "+llen", "+lrange"});
  RedisConfig limited = settings_;
  limited.username = user;
  limited.password = Secret("secret-of-user");
  const auto seen = adapters::redis::make_queue_admin(limited)->look(1, {});
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ(seen->waiting, 2u);
  ASSERT_EQ(seen->first.size(), 1u);
  EXPECT_EQ(seen->first[0].deployment, "a");
  EXPECT_NE(seen->refused, "");
  raw({"ACL", "DELUSER", user});
}

TEST_F(QueueAdminTest, AKeyThatHoldsSomethingElseSaysNothing) {
  raw({"SET", own_key(settings_.queue, "own"), "text"});
  push("a", "s");
  EXPECT_EQ(look().waiting, 1u);
  EXPECT_TRUE(look().running.empty());
}

TEST_F(QueueAdminTest, ARedisThatIsAwayIsNamedWithItsSetting) {
  RedisConfig away = settings_;
  away.address.port = 1;
  const auto seen = adapters::redis::make_queue_admin(away)->look(1, {});
  ASSERT_FALSE(seen);
  EXPECT_TRUE(seen.error().message.contains("REDIS_HOST, REDIS_PORT")) << seen.error().message;
}

}  // namespace
}  // namespace builder
