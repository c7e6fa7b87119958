// Who speaks to those that wait, and what of the queue it is told, beside workers on a real server.
#include "adapters/redis/leased/waiting_room.hpp"

#include "adapters/redis/client/script_runner.hpp"
#include "base/text.hpp"
#include "fakes/fake_steps.hpp"

#include "contract/redis/fixture.hpp"

#include <gtest/gtest.h>

namespace builder {
namespace {

using namespace std::chrono_literals;
using adapters::redis::make_waiting_room;
using domain::DeploymentId;
using std::chrono::milliseconds;

class WaitingRoomTest : public RealRedisTest {
 protected:
  void SetUp() override {
    RealRedisTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    connection_ = Connection::open(settings_, "test", {}).value();
    adapters::redis::QueueSettings settings;
    settings.identity = {
        .host = "ops-1", .pid = 42, .version = "2", .engine = "docker", .slots = 1};
    worker_ = trusted_queue(settings_, settings, fakes::null_log());
    worker_->join(listener_);
  }

  void TearDown() override {
    if (worker_) {
      worker_->leave();
    }
  }

  void push(const std::string& element) {
    ASSERT_TRUE(connection_->call({"RPUSH", settings_.queue, element}, {}));
  }

  void push_of(const std::string& owner, const std::string& id) {
    push(R"({"deploymentId":")" + id + R"(","serviceId":"s-)" + id +
         R"(","commitSha":"","branch":"main","repositoryName":"x/mono",)" +
         R"("gitProvider":{"type":"GITHUB","githubAccount":{"username":")" + owner + R"("}}})");
  }

  std::string take() {
    auto taken = worker_->take(5s, {});
    EXPECT_TRUE(taken && *taken);
    return taken && *taken ? (*taken)->receipt.deployment.str() : "";
  }

  static std::vector<std::string> names(const domain::WaitingLine& line) {
    std::vector<std::string> names;
    for (const DeploymentId& id : line.waiting) {
      names.push_back(id.str());
    }
    return names;
  }

  const RedisConfig settings_ = config("q" + random_hex(6));
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<ports::JobQueue> worker_;
  Listener listener_;
};

TEST_F(WaitingRoomTest, OneSpeaksUntilItIsSilentForTooLong) {
  push_of("a", "a1");
  const DeploymentId waits("a1");
  const auto first = make_waiting_room(settings_, {.span = 60s});
  const auto second = make_waiting_room(settings_, {.span = 60s});
  ASSERT_TRUE(first->look({}, {}).value());
  EXPECT_FALSE(second->look({}, {}).value()) << "two speak";
  EXPECT_TRUE(first->look({}, {}).value()) << "who speaks goes on";
  EXPECT_TRUE(first->still_waits(waits, {}).value());
  EXPECT_FALSE(second->still_waits(waits, {}).value());

  ASSERT_TRUE(connection_->call({"DEL", adapters::redis::own_key(settings_.queue, "speaker")}, {}));
  const auto lost = make_waiting_room(settings_, {.span = 100ms});
  ASSERT_TRUE(lost->look({}, {}).value());
  ASSERT_TRUE(eventually([&] { return second->look({}, {}).value().has_value(); }))
      << "nobody followed one that was lost";
  EXPECT_FALSE(lost->look({}, {}).value());
  EXPECT_FALSE(lost->still_waits(waits, {}).value());
}

TEST_F(WaitingRoomTest, ItTellsWhatCanBeReadInTurnAndHowFastItGoes) {
  push_of("a", "a0");
  EXPECT_EQ(take(), "a0");
  listener_.does(
      {.age = 60s, .running = {{.deployment = DeploymentId("a0"), .phase = "build", .age = 5s}}});
  worker_->activity_changed();
  push_of("a", "a1");
  push_of("a", "a2");
  push_of("b", "b1");
  push("garbage");
  push(R"({"deploymentId":"odd","serviceId":"s","repositoryName":7})");

  const auto room = make_waiting_room(settings_, {.most = 2});
  const auto other = make_waiting_room(settings_);
  ASSERT_TRUE(room->look({20s, 30s}, {}).value());
  EXPECT_FALSE(other->look({40s}, {}).value());
  std::optional<domain::WaitingLine> line;
  ASSERT_TRUE(eventually([&] {
    line = room->look({}, {}).value();
    return line && line->pace.slots == 1 && !line->pace.running.empty() &&
           line->pace.running[0] >= 5s;
  }));
  EXPECT_EQ(names(*line), (std::vector<std::string>{"b1", "a1"})) << "the first two in turn";
  EXPECT_EQ(line->pace.took, (std::vector<milliseconds>{40s, 30s, 20s})) << "of all workers";

  RedisConfig in_order = settings_;
  in_order.order = domain::QueueOrder::fifo;
  ASSERT_TRUE(connection_->call({"DEL", adapters::redis::own_key(settings_.queue, "speaker")}, {}));
  line = make_waiting_room(in_order)->look(std::vector<milliseconds>(60, 1s), {}).value();
  ASSERT_TRUE(line);
  EXPECT_EQ(names(*line), (std::vector<std::string>{"a1", "a2", "b1"}));
  EXPECT_EQ(line->pace.took, std::vector<milliseconds>(50, 1s)) << "the last fifty";
}

TEST_F(WaitingRoomTest, NothingThatWasTakenOrCancelledStillWaits) {
  for (const char* id : {"a", "b", "c"}) {
    push_of("x", id);
  }
  const auto room = make_waiting_room(settings_);
  ASSERT_TRUE(room->look({}, {}).value());
  EXPECT_EQ(take(), "a");
  EXPECT_EQ(worker_->cancel(DeploymentId("b")).value(), domain::CancelAnswer::removed);
  EXPECT_FALSE(room->still_waits(DeploymentId("a"), {}).value());
  EXPECT_FALSE(room->still_waits(DeploymentId("b"), {}).value());
  const auto lease = room->still_waits(DeploymentId("c"), {}).value();
  ASSERT_TRUE(lease);
  EXPECT_TRUE(lease->holds());
  EXPECT_EQ(take(), "c") << "a look moves nothing";
}

TEST_F(WaitingRoomTest, AQueueThatIsNoListIsAnError) {
  ASSERT_TRUE(connection_->call({"SET", settings_.queue, "text"}, {}));
  const auto room = make_waiting_room(settings_);
  EXPECT_FALSE(room->look({}, {}));
  ASSERT_TRUE(connection_->call({"DEL", settings_.queue}, {}));
  EXPECT_TRUE(room->look({}, {})) << "over when it is mended";
}

}  // namespace
}  // namespace builder
