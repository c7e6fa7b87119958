#include "adapters/redis/unleased/unsafe_queue.hpp"

#include "adapters/redis/chosen_queue.hpp"
#include "adapters/redis/unleased/job_journal.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"
#include "domain/deployment_request.hpp"
#include "fakes/fake_steps.hpp"

#include "contract/redis/fixture.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace builder {
namespace {

using namespace std::chrono_literals;

/// Between the queue and the server: something may happen once the server has answered a command.
class Wire {
 public:
  /// Whether the answer arrives; if not, its connection breaks.
  using Answered = std::function<bool()>;

  explicit Wire(const RedisConfig& server) : server_(server) {
    auto at = loopback(0);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(listener_.get(), as_address(at), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    EXPECT_EQ(::getsockname(listener_.get(), as_address(at), &size), 0);
    port_ = ntohs(at.sin_port);
    acceptor_ = std::jthread([this](const std::stop_token& stop) { accept(stop); });
  }

  RedisConfig config() const {
    RedisConfig config = server_;
    config.address = {.host = "127.0.0.1", .port = port_};
    return config;
  }

  /// Once, at the next such command.
  void at(const std::string& command, Answered answered) {
    const std::scoped_lock lock(mutex_);
    command_ = "\r\n" + command + "\r\n";
    answered_ = std::move(answered);
  }

  /// Every connection breaks, also new ones; an answer that is under way arrives.
  void break_for_good() { broken_ = true; }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(port);
    return at;
  }

  static sockaddr* as_address(sockaddr_in& at) { return reinterpret_cast<sockaddr*>(&at); }

  void accept(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd incoming{.fd = listener_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&incoming, 1, 10) == 1) {
        connections_.emplace_back([this, client = Fd(::accept(listener_.get(), nullptr, nullptr))](
                                      const std::stop_token& end) { carry(client, end); });
      }
    }
  }

  void carry(const Fd& client, const std::stop_token& stop) {
    const Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto at = loopback(server_.address.port);
    ASSERT_EQ(::connect(server.get(), as_address(at), sizeof at), 0);
    Answered answered;
    while (!stop.stop_requested() && !broken_) {
      std::array<pollfd, 2> ends{{{.fd = client.get(), .events = POLLIN, .revents = 0},
                                  {.fd = server.get(), .events = POLLIN, .revents = 0}}};
      ::poll(ends.data(), ends.size(), 10);
      if (ends[0].revents != 0) {
        const std::string sent = move(client, server);
        if (sent.empty()) {
          return;
        }
        const std::scoped_lock lock(mutex_);
        if (answered_ && sent.contains(command_)) {
          answered = std::exchange(answered_, nullptr);
        }
      }
      if (ends[1].revents != 0) {
        if (const auto then = std::exchange(answered, nullptr); then && !then()) {
          return;
        }
        if (move(server, client).empty()) {
          return;
        }
      }
    }
  }

  static std::string move(const Fd& from, const Fd& to) {
    std::array<char, 1 << 16> bytes{};
    const auto count = ::recv(from.get(), bytes.data(), bytes.size(), 0);
    return count > 0 && ::send(to.get(), bytes.data(), static_cast<std::size_t>(count),
                               MSG_NOSIGNAL) == count
               ? std::string(bytes.data(), static_cast<std::size_t>(count))
               : std::string();
  }

  const RedisConfig server_;
  const Fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port_ = 0;
  std::atomic<bool> broken_ = false;
  std::mutex mutex_;
  std::string command_;
  Answered answered_;
  std::list<std::jthread> connections_;
  std::jthread acceptor_;
};

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
    return start_at(settings_, std::move(lost));
  }

  std::unique_ptr<ports::JobQueue> start_at(const RedisConfig& settings,
                                            std::vector<std::string> lost = {}) {
    auto queue = adapters::redis::make_unsafe_queue(
        settings, {.journal = journal(++processes_), .lost_journals = std::move(lost)},
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

  /// What has ended and is not delivered.
  static std::map<std::string, ports::Verdict> ends_of(ports::JobQueue& queue) {
    std::map<std::string, ports::Verdict> ends;
    while (const auto left = queue.adopt().value()) {
      ends[left->receipt.deployment.str()] = left->ending.verdict;
    }
    return ends;
  }

  static std::string id_of(const std::optional<ports::TakenJob>& job) {
    return job ? job->receipt.deployment.str() : "nothing";
  }

  /// While c of the same service is on its way to us something happens to what is here: c is built
  /// all the same, and `older` superseded.
  void pop_newer_while(Wire& wire, ports::JobQueue& queue, const std::string& older,
                       const std::function<void()>& what_happens) {
    std::promise<void> popped;
    wire.at("LPOP", [&] {
      popped.set_value();
      std::this_thread::sleep_for(300ms);
      return true;
    });
    push("c", "s");
    auto taken = std::async(std::launch::async, [&] { return queue.take(2s, {}).value(); });
    popped.get_future().get();
    what_happens();
    EXPECT_EQ(id_of(taken.get()), "c");
    EXPECT_FALSE(queue.take(10ms, {}).value());
    EXPECT_EQ(listener_.stop_of("c"), ports::StopReason::none);
    EXPECT_EQ(ends_of(queue),
              (std::map<std::string, ports::Verdict>{{older, ports::Verdict::superseded}}));
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
    ASSERT_TRUE(lost->settle(delivered->receipt, ports::Delivery::done, {}));
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
    EXPECT_TRUE(next->settle(left->receipt, ports::Delivery::done, {}));
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
  EXPECT_TRUE(queue->requeue(job->receipt));
  EXPECT_EQ(queued(), (std::vector<std::string>{"a", "b", "z"}));
  // Should it be lost now, the queue still has them: only "o" was its own.
  const auto mine = adapters::redis::JobJournal::read(journal(1));
  ASSERT_EQ(mine.size(), 1u);
  EXPECT_TRUE(mine.contains("o"));
  queue->leave();
  EXPECT_EQ(queued(), (std::vector<std::string>{"o", "a", "b", "z"}));
}

TEST_F(UnsafeQueueTest, WhatIsGivenBackIsTakenByWhoWaitsForAJob) {
  const auto queue = start();
  push("a", "s");
  auto job = queue->take(5s, {}).value();
  std::atomic<bool> over = false;
  const auto load = [&] {
    while (!over) {
    }
  };
  const std::array spinners{std::async(std::launch::async, load),
                            std::async(std::launch::async, load)};
  const auto until = std::chrono::steady_clock::now() + 8s;
  for (int round = 0; round < 2'000 && job && std::chrono::steady_clock::now() < until; ++round) {
    auto given = std::async(std::launch::async, [&queue, receipt = job->receipt] {
      EXPECT_TRUE(queue->requeue(receipt));
    });
    job = queue->take(2s, {}).value();
    given.get();
    EXPECT_TRUE(job) << "round " << round;
  }
  over = true;
  queue->leave();
  EXPECT_EQ(queued(), std::vector<std::string>{"a"});
}

TEST_F(UnsafeQueueTest, WhatIsTakenAgainBeforeTheGivingBackIsAnsweredIsOurs) {
  Wire wire(settings_);
  const auto queue = start_at(wire.config());
  push("a", "s");
  push("o", "other");
  const auto job = queue->take(5s, {}).value();
  const auto other = queue->take(5s, {}).value();
  push("b", "s");
  ASSERT_FALSE(queue->take(10ms, {}).value()) << "it waits";
  wire.at("LPUSH", [] {
    std::this_thread::sleep_for(300ms);
    return true;
  });
  auto given = std::async(std::launch::async, [&] { return queue->requeue(job->receipt); });
  EXPECT_EQ(id_of(queue->take(2s, {}).value()), "b");
  EXPECT_TRUE(given.get());
  EXPECT_EQ(ends_of(*queue),
            (std::map<std::string, ports::Verdict>{{"a", ports::Verdict::superseded}}));
  EXPECT_EQ(queued(), std::vector<std::string>{});
  const auto open = adapters::redis::JobJournal::read(journal(1));
  EXPECT_EQ(open.size(), 3u);
  EXPECT_TRUE(open.contains("b")) << "its loss would not be noticed";
  queue->leave();
}

TEST_F(UnsafeQueueTest, WhatIsBeingTakenIsNewerThanWhatIsGivenBack) {
  Wire wire(settings_);
  const auto queue = start_at(wire.config());
  push("a", "s");
  const auto job = queue->take(5s, {}).value();
  pop_newer_while(wire, *queue, "a", [&] { EXPECT_TRUE(queue->requeue(job->receipt)); });
  queue->leave();
}

TEST_F(UnsafeQueueTest, WhatIsBeingTakenIsNewerThanWhatWaitedForAnEnd) {
  Wire wire(settings_);
  const auto queue = start_at(wire.config());
  push("a", "s");
  const auto job = queue->take(5s, {}).value();
  push("b", "s");
  ASSERT_FALSE(queue->take(10ms, {}).value()) << "it waits";
  pop_newer_while(wire, *queue, "b", [&] {
    EXPECT_TRUE(queue->finish(job->receipt, builded()));
    EXPECT_TRUE(queue->settle(job->receipt, ports::Delivery::done, {}));
  });
  queue->leave();
}

TEST_F(UnsafeQueueTest, AnEndIsNotLostWithTheAnswerToTheRemoval) {
  const std::map<std::string, ports::Verdict> cancelled{{"b", ports::Verdict::cancelled_by_user}};
  for (const bool comes_back : {true, false}) {
    Wire wire(settings_);
    const auto queue = start_at(wire.config());
    push("b", "s");
    wire.at("LREM", [&] {
      if (!comes_back) {
        wire.break_for_good();
      }
      return false;
    });
    const auto answer = queue->cancel(domain::DeploymentId("b"));
    EXPECT_EQ(answer.value_or(ports::CancelAnswer::noted), ports::CancelAnswer::removed);
    EXPECT_EQ(queued(), std::vector<std::string>{});
    EXPECT_EQ(ends_of(*queue), cancelled) << (comes_back ? "it comes back" : "it stays away");
    queue->leave();
  }
  Wire wire(settings_);
  const auto queue = start_at(wire.config());
  push("a", "s");
  ASSERT_TRUE(queue->take(5s, {}).value());
  push("b", "s");
  push("c", "s");
  wire.at("LREM", [] { return false; });
  EXPECT_TRUE(queue->look());
  EXPECT_TRUE(listener_.outbox);
  EXPECT_EQ(queued(), std::vector<std::string>{"c"});
  EXPECT_EQ(ends_of(*queue),
            (std::map<std::string, ports::Verdict>{{"b", ports::Verdict::superseded}}));
  queue->leave();
}

TEST_F(UnsafeQueueTest, ACancelledJobThatIsGivenBackHasItsEnd) {
  const auto queue = start();
  push("a", "s");
  const auto job = queue->take(5s, {}).value();
  EXPECT_EQ(queue->cancel(domain::DeploymentId("a")).value(), ports::CancelAnswer::owned);
  EXPECT_TRUE(queue->requeue(job->receipt));
  EXPECT_TRUE(listener_.outbox);
  queue->leave();
  EXPECT_EQ(queued(), std::vector<std::string>{}) << "who takes it next would not know";
  const auto next = start({journal(1)});
  EXPECT_EQ(ends_of(*next),
            (std::map<std::string, ports::Verdict>{{"a", ports::Verdict::cancelled_by_user}}));
  next->leave();
}

TEST_F(UnsafeQueueTest, AnUndeliveredEndOutlivesAnOrderlyStop) {
  const auto queue = start();
  push("a", "s");
  const auto job = queue->take(5s, {}).value();
  ASSERT_TRUE(queue->finish(job->receipt, builded()));
  ASSERT_TRUE(queue->settle(job->receipt, ports::Delivery::later, {}));
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

TEST_F(UnsafeQueueTest, AJobThatCanNeitherBeNotedNorGivenBackStaysHere) {
  Wire wire(settings_);
  const std::string folder = folder_.path() + "/later";
  const auto queue = adapters::redis::make_unsafe_queue(
      wire.config(), {.journal = folder + "/jobs", .patience = 200ms}, fakes::null_log());
  queue->join(listener_);
  push("a", "s");
  wire.at("LPOP", [&] {
    wire.break_for_good();
    return true;
  });
  EXPECT_FALSE(queue->take(5s, {}));
  EXPECT_EQ(queued(), std::vector<std::string>{});
  std::filesystem::create_directory(folder);
  EXPECT_EQ(id_of(queue->take(0ms, {}).value_or(std::nullopt)), "a");
}

TEST_F(UnsafeQueueTest, ASupersededBuildStopsThoughAnEndCannotBeNoted) {
  const std::string folder = folder_.path() + "/removed";
  std::filesystem::create_directory(folder);
  const auto queue = adapters::redis::make_unsafe_queue(settings_, {.journal = folder + "/jobs"},
                                                        fakes::null_log());
  queue->join(listener_);
  push("a", "s");
  ASSERT_EQ(id_of(queue->take(5s, {}).value()), "a");
  std::filesystem::remove_all(folder);
  push("b", "s");
  push("c", "s");
  EXPECT_FALSE(queue->look());
  EXPECT_EQ(listener_.stop_of("a"), ports::StopReason::superseded);
  EXPECT_EQ(queued(), std::vector<std::string>{"c"});
}

TEST_F(UnsafeQueueTest, WhoWaitsForAJobIsNotHeldUpByASlowGivingBack) {
  Wire wire(settings_);
  const auto queue = start_at(wire.config());
  push("a", "s");
  const auto job = queue->take(5s, {}).value();
  std::promise<void> pushed;
  wire.at("LPUSH", [&] {
    pushed.set_value();
    std::this_thread::sleep_for(1'500ms);
    return true;
  });
  auto given = std::async(std::launch::async, [&] { return queue->requeue(job->receipt); });
  pushed.get_future().get();
  EXPECT_EQ(id_of(queue->take(100ms, {}).value()), "nothing");
  EXPECT_EQ(given.wait_for(0s), std::future_status::timeout);
  EXPECT_TRUE(given.get());
  EXPECT_EQ(id_of(queue->take(2s, {}).value()), "a");
  queue->leave();
}

TEST_F(UnsafeQueueTest, IsChosenOnlyWhereScriptsAreRefused) {
  const auto guarantee = [&](const RedisConfig& settings) {
    const auto queue = adapters::redis::make_chosen_queue(settings, {}, {.journal = journal(9)},
                                                          fakes::null_log());
    EXPECT_FALSE(queue->take(10ms, {})) << "nothing was chosen yet";
    queue->join(listener_);
    const auto recovered = queue->recover();
    [[maybe_unused]] const auto asked = queue->doubtful();
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
