// The same suite runs against the fake and against the real server that REDIS_HOST and REDIS_PORT
// name.
#include "adapters/redis/job_queue.hpp"

#include "adapters/redis/cancel_feed.hpp"
#include "base/text.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/memory_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <thread>

namespace builder {
namespace {

using adapters::redis::Connection;
using adapters::redis::RedisConfig;
using namespace std::chrono_literals;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

RedisConfig config(const std::string& queue) {
  RedisConfig config;
  config.host = variable("REDIS_HOST");
  config.port = static_cast<std::uint16_t>(std::stoi(variable("REDIS_PORT")));
  config.username = variable("REDIS_USERNAME");
  config.password = Secret(variable("REDIS_PASSWORD"));
  config.queue = queue;
  config.cancel_channel = queue + ":cancel";
  return config;
}

std::string job(const std::string& id) {
  return R"({"deploymentId":")" + id + R"(","serviceId":"s"})";
}

struct Subject {
  std::unique_ptr<ports::JobQueue> queue;
  std::function<void(const std::string&)> push;
};

Subject make_fake() {
  auto queue = std::make_unique<fakes::MemoryQueue>();
  auto* raw = queue.get();
  return {std::move(queue), [raw](const std::string& payload) { raw->push(payload); }};
}

Subject make_real() {
  const RedisConfig settings = config("q" + random_hex(6));
  auto connection =
      std::shared_ptr<Connection>(Connection::open(settings, "test", {}).value().release());
  return {adapters::redis::make_job_queue(settings, "w1"),
          [connection, queue = settings.queue](const std::string& payload) {
            ASSERT_TRUE(connection->call({"RPUSH", queue, payload}, {}));
          }};
}

class JobQueueTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "real" && variable("REDIS_PORT").empty()) {
      if (variable("CI") == "true") {
        FAIL() << "REDIS_PORT is not set";
      }
      GTEST_SKIP() << "REDIS_PORT is not set";
    }
    subject_ = GetParam() == "real" ? make_real() : make_fake();
  }

  ports::JobQueue& queue() { return *subject_.queue; }

  void push(const std::string& payload) { subject_.push(payload); }

  std::string take_one() {
    auto taken = queue().take(2s, {});
    return taken && *taken ? (*taken)->payload : "";
  }

  Subject subject_;
};

INSTANTIATE_TEST_SUITE_P(Peers, JobQueueTest, testing::Values("fake", "real"),
                         [](const auto& test) { return test.param; });

TEST_P(JobQueueTest, TakesInOrderAndForgetsWhatIsFinished) {
  for (const char* id : {"a", "b", "c"}) {
    push(job(id));
  }
  for (const char* id : {"a", "b", "c"}) {
    const std::string payload = take_one();
    EXPECT_EQ(payload, job(id));
    EXPECT_TRUE(queue().finish({payload}));
  }
  EXPECT_EQ(queue().length().value(), 0u);
  EXPECT_EQ(queue().recover().value(), 0u);
}

TEST_P(JobQueueTest, AnEmptyQueueGivesNothingInTime) {
  const auto taken = queue().take(20ms, {});
  ASSERT_TRUE(taken);
  EXPECT_FALSE(*taken);
}

TEST_P(JobQueueTest, AWaitingTakeGetsAJobAtOnce) {
  auto waiting = std::async(std::launch::async, [&] { return take_one(); });
  push(job("a"));
  EXPECT_EQ(waiting.get(), job("a"));
}

TEST_P(JobQueueTest, RecoverPutsEverythingBackInItsOrderBeforeTheRest) {
  for (const char* id : {"a", "b", "c"}) {
    push(job(id));
  }
  take_one();
  take_one();
  EXPECT_EQ(queue().recover().value(), 2u);
  EXPECT_EQ(queue().peek(10).value(), (std::vector<std::string>{job("a"), job("b"), job("c")}));
}

TEST_P(JobQueueTest, GivingBackTwiceIsHarmless) {
  push(job("a"));
  push(job("b"));
  const std::string payload = take_one();
  EXPECT_TRUE(queue().give_back({payload}));
  EXPECT_TRUE(queue().give_back({payload}));
  EXPECT_EQ(queue().peek(10).value(), (std::vector<std::string>{job("a"), job("b")}));
}

TEST_P(JobQueueTest, TwoEqualPayloadsAreTwoJobs) {
  push(job("a"));
  push(job("a"));
  take_one();
  take_one();
  EXPECT_TRUE(queue().finish({job("a")}));
  EXPECT_EQ(queue().recover().value(), 1u);
}

TEST_P(JobQueueTest, ACancelRemovesTheJobAndIsRemembered) {
  push("not json, but names a");
  push(job("a"));
  push(job("b"));
  EXPECT_EQ(queue().mark_cancelled(domain::DeploymentId("a")).value(),
            ports::CancelMark::was_queued);
  EXPECT_EQ(queue().mark_cancelled(domain::DeploymentId("x")).value(),
            ports::CancelMark::not_queued);
  EXPECT_TRUE(queue().is_cancelled(domain::DeploymentId("a")).value());
  EXPECT_TRUE(queue().is_cancelled(domain::DeploymentId("x")).value());
  EXPECT_FALSE(queue().is_cancelled(domain::DeploymentId("b")).value());
  EXPECT_EQ(queue().peek(10).value(),
            (std::vector<std::string>{"not json, but names a", job("b")}));
}

TEST_P(JobQueueTest, AStopDuringTakeLosesNoJob) {
  for (int round = 0; round < 200; ++round) {
    std::stop_source stop;
    std::jthread stopper([&] { stop.request_stop(); });
    std::jthread pusher([&] { push(job("r" + std::to_string(round))); });
    const auto taken = queue().take(5s, stop.get_token());
    stopper.join();
    pusher.join();
    if (taken && *taken) {
      ASSERT_TRUE(queue().finish(**taken));
    } else {
      ASSERT_EQ(taken.error().kind, ErrorKind::cancelled);
      const std::string payload = take_one();
      ASSERT_EQ(payload, job("r" + std::to_string(round))) << "round " << round;
      ASSERT_TRUE(queue().finish({payload}));
    }
  }
  EXPECT_EQ(queue().recover().value(), 0u);
}

class RealRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    if (variable("REDIS_PORT").empty()) {
      if (variable("CI") == "true") {
        FAIL() << "REDIS_PORT is not set";
      }
      GTEST_SKIP() << "REDIS_PORT is not set";
    }
  }
};

TEST_F(RealRedisTest, SurvivesTheLossOfEveryConnection) {
  const RedisConfig settings = config("q" + random_hex(6));
  const auto queue = adapters::redis::make_job_queue(settings, "w1");
  const auto other = Connection::open(settings, "other", {}).value();
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(other->call({"RPUSH", settings.queue, job("a")}, {}));
    std::optional<ports::TakenJob> taken;
    while (!taken) {
      auto result = queue->take(2s, {});
      if (result) {
        taken = *result;
      }
    }
    ASSERT_TRUE(other->call({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}, {}));
    ASSERT_TRUE(queue->finish(*taken));
    EXPECT_EQ(queue->recover().value(), 0u);
  }
}

TEST_F(RealRedisTest, AWrongPasswordIsDeniedAndNotShown) {
  RedisConfig settings = config("q");
  settings.password = Secret("wrong-password");
  const auto queue = adapters::redis::make_job_queue(settings, "w1");
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
  const auto wait = [](const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    return condition();
  };
  ASSERT_TRUE(wait([&] { return feed->connected(); }));
  for (const char* bad :
       {"", "x", "[]", "{}", R"({"deploymentId":5})", R"({"deploymentId":"../x"})"}) {
    say(bad);
  }
  say(R"({"deploymentId":"d1"})");
  ASSERT_TRUE(wait([&] { return heard == 1; }));
  ASSERT_TRUE(other->call({"CLIENT", "KILL", "TYPE", "pubsub"}, {}));
  // Redis may count the killed connection for a moment: say it until it is heard.
  ASSERT_TRUE(wait([&] {
    say(R"({"deploymentId":"d1"})");
    return heard >= 2;
  }));
  EXPECT_LT(heard, 100);
}

}  // namespace
}  // namespace builder
