#include "adapters/redis/unsafe_queue.hpp"

#include "adapters/redis/chosen_queue.hpp"
#include "adapters/redis/job_journal.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"
#include "domain/deployment_request.hpp"
#include "fakes/fake_steps.hpp"

#include "fixture.hpp"

#include <fstream>
#include <iterator>
#include <map>
#include <memory>

namespace builder {
namespace {

using namespace std::chrono_literals;

/// A queue at level C, as one process after another has it.
class UnsafeQueueTest : public RealRedisTest {
 protected:
  void SetUp() override {
    RealRedisTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) {
      settings_ = config("q" + random_hex(6));
      other_ = Connection::open(settings_, "other", {}).value();
    }
  }

  std::unique_ptr<ports::JobQueue> start(std::vector<std::string> lost = {}) {
    auto queue = adapters::redis::make_unsafe_queue(
        settings_, {.journal = journal(++processes_), .lost_journals = std::move(lost)},
        fakes::null_log());
    queue->join(listener_);
    EXPECT_TRUE(queue->recover());
    return queue;
  }

  std::string journal(int process) const { return folder_.path() + "/" + std::to_string(process); }

  void push(const std::string& id, const std::string& service) {
    ASSERT_TRUE(other_->call({"RPUSH", settings_.queue,
                              R"({"deploymentId":")" + id + R"(","serviceId":")" + service + "\"}"},
                             {}));
  }

  std::vector<std::string> queued() {
    std::vector<std::string> ids;
    const auto elements = other_->call({"LRANGE", settings_.queue, "0", "-1"}, {}).value();
    for (const auto& one : elements.list) {
      ids.push_back(domain::parse_job(one.text).deployment_id->str());
    }
    return ids;
  }

  TempDir folder_ = TempDir::make(testing::TempDir(), "unsafe").value();
  RedisConfig settings_;
  Listener listener_;
  std::unique_ptr<Connection> other_;
  int processes_ = 0;
};

TEST_F(UnsafeQueueTest, WhatALostProcessHadFailsAndItsEndsAreDelivered) {
  {
    const auto lost = start();
    push("built", "s1");
    push("ended", "s2");
    push("delivered", "s3");
    push("newer", "s1");
    ASSERT_TRUE(lost->take(5s, {}).value());
    const auto ended = lost->take(5s, {}).value();
    ASSERT_TRUE(lost->finish(ended->receipt, builded()));
    const auto delivered = lost->take(5s, {}).value();
    ASSERT_TRUE(lost->finish(delivered->receipt, builded()));
    ASSERT_TRUE(lost->settle(delivered->receipt, ports::Delivery::done));
    ASSERT_FALSE(lost->take(10ms, {}).value()) << "it waits for the one that is built";
  }
  {
    std::ofstream torn(journal(1), std::ios::app);
    torn << "taken half-a-li";
  }
  const auto next = start({journal(1)});
  EXPECT_TRUE(listener_.outbox);
  std::map<std::string, ports::Ending> ends;
  while (const auto left = next->adopt().value()) {
    ends[left->receipt.deployment.str()] = left->ending;
    EXPECT_TRUE(left->receipt.lease->holds());
    EXPECT_TRUE(next->settle(left->receipt, ports::Delivery::done));
  }
  ASSERT_EQ(ends.size(), 3u);
  EXPECT_EQ(ends["ended"].update.image_uri, "registry/x@sha256:1");
  for (const char* id : {"built", "newer"}) {
    EXPECT_EQ(ends[id].update.status, ports::DeploymentStatus::failed) << id;
    EXPECT_TRUE(ends[id].update.error.contains("was lost")) << ends[id].update.error;
    EXPECT_LE(ends[id].update.error.size(), 191u);
  }
  next->leave();
  EXPECT_FALSE(std::ifstream(journal(1)).good()) << "every deployment has its end";
  EXPECT_FALSE(std::ifstream(journal(2)).good());
}

TEST_F(UnsafeQueueTest, TheJournalHoldsNothingOfAJobButItsId) {
  const auto queue = start();
  ASSERT_TRUE(other_->call({"RPUSH", settings_.queue,
                            R"({"deploymentId":"a","serviceId":"s","password":"very-secret"})"},
                           {}));
  ASSERT_TRUE(queue->take(5s, {}).value());
  std::ifstream file(journal(1));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, "taken a\n");
  queue->leave();
}

TEST_F(UnsafeQueueTest, WhatIsGivenBackAndWhatWaitsForItKeepTheirOrder) {
  const auto queue = start();
  push("a", "s");
  push("o", "other");
  const auto job = queue->take(5s, {}).value();
  push("b", "s");
  EXPECT_EQ(queue->take(5s, {}).value()->receipt.deployment.str(), "o");
  EXPECT_FALSE(queue->take(10ms, {}).value());
  EXPECT_EQ(listener_.stop_of("a"), ports::StopReason::superseded);
  push("z", "third");
  EXPECT_TRUE(queue->give_back(job->receipt));
  EXPECT_EQ(queued(), (std::vector<std::string>{"a", "b", "z"}));
  // Should it be lost now, the queue still has them: only "o" was its own.
  const auto mine = adapters::redis::JobJournal::read(journal(1));
  ASSERT_EQ(mine.size(), 1u);
  EXPECT_TRUE(mine.contains("o"));
  queue->leave();
  EXPECT_EQ(queued(), (std::vector<std::string>{"o", "a", "b", "z"}));
}

TEST_F(UnsafeQueueTest, AnUndeliveredEndOutlivesAnOrderlyStop) {
  const auto queue = start();
  push("a", "s");
  const auto job = queue->take(5s, {}).value();
  ASSERT_TRUE(queue->finish(job->receipt, builded()));
  ASSERT_TRUE(queue->settle(job->receipt, ports::Delivery::later));
  queue->leave();
  const auto next = start({journal(1)});
  const auto left = next->adopt().value();
  ASSERT_TRUE(left);
  EXPECT_EQ(left->ending.update.status, ports::DeploymentStatus::builded);
  next->leave();
}

TEST_F(UnsafeQueueTest, AJobThatCannotBeNotedStaysInTheQueue) {
  const auto queue = adapters::redis::make_unsafe_queue(
      settings_, {.journal = folder_.path() + "/no/such/folder"}, fakes::null_log());
  queue->join(listener_);
  push("a", "s");
  EXPECT_FALSE(queue->take(5s, {}));
  EXPECT_EQ(queued(), std::vector<std::string>{"a"});
}

TEST_F(UnsafeQueueTest, IsChosenOnlyWhereScriptsAreRefused) {
  const auto guarantee = [&](const RedisConfig& settings) {
    const auto queue = adapters::redis::make_chosen_queue(settings, {}, {.journal = journal(9)},
                                                          fakes::null_log());
    EXPECT_FALSE(queue->take(10ms, {})) << "nothing was chosen yet";
    queue->join(listener_);
    const auto recovered = queue->recover();
    [[maybe_unused]] const auto joined = queue->take(2s, {});
    EXPECT_TRUE(!recovered || queue->length());
    std::string found = queue->guarantee();
    queue->leave();
    return found;
  };
  EXPECT_EQ(guarantee(settings_), "A");
  const std::string name = "u" + random_hex(6);
  ASSERT_TRUE(
      other_->call({"ACL", "SETUSER", name, "on", ">pw", "~*", "&*", "+@all", "-evalsha"}, {}));
  RedisConfig limited = settings_;
  limited.username = name;
  limited.password = Secret("pw");
  EXPECT_EQ(guarantee(limited), "C");
  limited.password = Secret("wrong");
  EXPECT_EQ(guarantee(limited), "unknown") << "a wrong password is no refusal of scripts";
  ASSERT_TRUE(other_->call({"ACL", "DELUSER", name}, {}));
}

}  // namespace
}  // namespace builder
