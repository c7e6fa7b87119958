// What Redis says is ours and what we know to be ours are two things for a moment, and for longer
// when an answer is lost or Redis comes back with an old state. Nothing may stay between the two.
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/job_queue.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "base/text.hpp"
#include "fakes/fake_steps.hpp"

#include "contract/redis/fixture.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace builder {
namespace {

using namespace std::chrono_literals;
using adapters::redis::own_key;
using adapters::redis::Script;
namespace scripts = adapters::redis::scripts;

class HandoverTest : public RealRedisTest {
 protected:
  void SetUp() override {
    RealRedisTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    adapters::redis::QueueSettings quick;
    quick.lease = 1200ms;
    queue_ = trusted_queue(settings_, quick, fakes::null_log());
    queue_->join(listener_);
    other_ = Connection::open(settings_, "other", {}).value();
  }

  void TearDown() override {
    if (queue_) {
      queue_->leave();
    }
  }

  void push(const std::string& id) { raw({"RPUSH", settings_.queue, job(id)}); }

  void raw(const std::vector<std::string>& command) { ASSERT_TRUE(other_->call(command, {})); }

  /// Like the queue's own call whose answer never arrives.
  std::string unheard(std::string_view script, const std::vector<std::string>& arguments) {
    return Script(script, settings_.queue).run(*other_, arguments).value().list.at(0).text;
  }

  ports::TakenJob take() {
    const auto taken = queue_->take(5s, {});
    EXPECT_TRUE(taken && *taken);
    return taken && *taken ? **taken : ports::TakenJob{};
  }

  [[nodiscard]] std::string key(std::string_view suffix) const {
    return own_key(settings_.queue, suffix);
  }

  bool exists(std::string_view suffix) {
    return other_->call({"EXISTS", key(suffix)}, {}).value().integer == 1;
  }

  const RedisConfig settings_ = config("q" + random_hex(6));
  Listener listener_;
  std::unique_ptr<ports::JobQueue> queue_;
  std::unique_ptr<Connection> other_;
};

TEST_F(HandoverTest, AJobThatIsGivenBackWhileATakeWaitsIsHandedOut) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int k_rounds = 200;
#else
  constexpr int k_rounds = 2'000;
#endif
  // Something has to keep the two sides apart.
  std::vector<std::jthread> load;
  for (int i = 0; i < 2; ++i) {
    load.emplace_back([](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
      }
    });
  }
  push("a");
  auto mine = take();
  for (int round = 0; round < k_rounds; ++round) {
    auto waiting = std::async(std::launch::async, [&] { return queue_->take(5s, {}); });
    ASSERT_TRUE(queue_->requeue(mine.receipt));
    const auto taken = waiting.get();
    ASSERT_TRUE(taken && *taken) << "round " << round;
    mine = **taken;
  }
}

TEST_F(HandoverTest, AJobWhoseTakeWasNotHeardGoesBack) {
  push("known");
  const auto known = take();
  push("a");
  raw({"LSET", settings_.queue, "0", R"({"deploymentId":"a","serviceId":"other"})"});
  ASSERT_EQ(unheard(scripts::k_take, {known.receipt.lease_id, "3"}), "JOB");
  const auto found = take();
  EXPECT_EQ(found.receipt.deployment.str(), "a");
  EXPECT_EQ(found.attempt, 1) << "nothing was begun";
  EXPECT_EQ(listener_.stop_of("known"), ports::StopReason::none);
}

TEST_F(HandoverTest, AnEndWhoseAdoptionWasNotHeardIsFreeAgain) {
  push("a");
  const auto mine = take();
  ASSERT_TRUE(queue_->finish(mine.receipt, builded()));
  ASSERT_TRUE(queue_->settle(mine.receipt, ports::Delivery::later, {}));
  ASSERT_EQ(unheard(scripts::k_adopt, {mine.receipt.lease_id}), "OUT");
  std::optional<ports::Undelivered> adopted;
  ASSERT_TRUE(eventually([&] {
    adopted = queue_->adopt().value_or(std::nullopt);
    return adopted.has_value();
  }));
  EXPECT_EQ(adopted->receipt.deployment.str(), "a");
  EXPECT_TRUE(listener_.outbox);
}

TEST_F(HandoverTest, AJobThatRedisForgotIsHandedOutAgainOnceItsRunHasEnded) {
  push("a");
  const auto mine = take();
  // An old state of Redis: the job is in the queue, and nobody's.
  raw({"DEL", key("own"), key("pay"), key("svc")});
  push("a");
  ASSERT_TRUE(eventually([&] { return listener_.stop_of("a") == ports::StopReason::lost_lease; }));
  const auto swallowed = queue_->take(10ms, {});  // Perhaps: it is the one that we still build.
  ASSERT_TRUE(swallowed && !*swallowed);
  [[maybe_unused]] const auto given = queue_->requeue(mine.receipt);
  EXPECT_EQ(take().receipt.deployment.str(), "a");
}

TEST_F(HandoverTest, AnEndThatRedisForgotLeavesNothingBehindWhenItIsSettled) {
  push("a");
  const auto mine = take();
  ASSERT_TRUE(queue_->finish(mine.receipt, builded()));
  // An old state of Redis: the job is in the queue, and has not ended.
  raw({"DEL", key("out"), key("fin"), key("seen")});
  push("a");
  ASSERT_FALSE(queue_->take(10ms, {}).value());
  EXPECT_EQ(queue_->settle(mine.receipt, ports::Delivery::done, {}).error().kind,
            ErrorKind::conflict);
  EXPECT_TRUE(eventually([&] {
    EXPECT_FALSE(queue_->take(10ms, {}).value()) << "it is not built again";
    return !exists("own") && !exists("svc") && queue_->length().value() == 0;
  }));
}

}  // namespace
}  // namespace builder
