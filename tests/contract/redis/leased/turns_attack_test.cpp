// Ten hostile customers and four honest ones on one queue, on a real server: what one who knows the
// rules of `QUEUE_ORDER=fair` would do to get ahead of others, at random times, beside workers that
// take in turn and others that do not. Builds are played on a clock of ticks. ATTACK_SEED and
// ATTACK_SCHEDULES choose which and how many.
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "base/text.hpp"
#include "domain/queue_rules.hpp"

#include "contract/redis/fixture.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace builder {
namespace {

using adapters::redis::own_key;
using adapters::redis::Reply;
using adapters::redis::Script;
namespace scripts = adapters::redis::scripts;

constexpr int k_ticks = 240;
constexpr int k_phase = 30;  ///< Who is hostile is so for so many ticks, and pauses.
constexpr std::size_t k_slots = 4;
constexpr std::size_t k_honest = 4;
constexpr std::size_t k_hostile = 10;
const std::string k_lease = "lease";

std::string github(const std::string& account) {
  return fmt::format(R"("gitProvider":{{"type":"GITHUB","githubAccount":{{"username":"{}"}}}})",
                     account);
}

std::string custom(const std::string& url, const std::string& account) {
  return fmt::format(
      R"("gitProvider":{{"type":"CUSTOM","url":"{}","username":"{}","password":"p"}})", url,
      account);
}

/// What honest customers say of themselves, and the hostile can say as well.
const std::string k_victims_host = custom("https://git.example.com", "builder");

/// What became of an honest job until it was taken.
struct Wait {
  std::size_t ahead = 0;   ///< Queued or set aside when it came, or taken and given back since.
  std::size_t others = 0;  ///< Jobs taken since it came.
};

struct Outcome {
  std::vector<Wait> honest;
  std::size_t passed = 0;  ///< Honest jobs that were taken while others stood in front.
};

class TurnsUnderAttack : public RealRedisTest {
 protected:
  void SetUp() override {
    RealRedisTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) {
      connection_ = Connection::open(config(queue_), "attack", {}).value();
    }
  }

  void TearDown() override {
    if (connection_) {
      clear();
    }
  }

  /// `in_turn` of a hundred takes are turns; the rest are of the list's first.
  Outcome play(std::uint64_t seed, int in_turn) {
    clear();
    outcome_ = {};
    number_ = 0;
    tick_ = 0;
    for (std::size_t i = 0; i < customers_.size(); ++i) {
      customers_[i] = {.random = std::mt19937_64(seed * 100 + i)};
    }
    random_.seed(seed);
    join();
    for (; tick_ < k_ticks; ++tick_) {
      for (std::size_t i = 0; i < customers_.size(); ++i) {
        i < k_honest ? be_honest(i) : be_hostile(i - k_honest, customers_[i]);
      }
      end_builds();
      fill_slots(in_turn);
    }
    while (!waiting_.empty() && !HasFailure()) {
      ++tick_;
      end_builds();
      fill_slots(in_turn);
    }
    return std::exchange(outcome_, {});
  }

  struct Customer {
    std::mt19937_64 random;
    int pushed = 0;
    std::string last;  ///< Deployment.
    bool is_active = false;

    int pick(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random); }

    bool chance(int percent) { return pick(100) < percent; }
  };

  Reply call(const Script& script, const std::vector<std::string>& arguments) {
    auto reply = script.run(*connection_, arguments);
    EXPECT_TRUE(reply) << (reply ? "" : reply.error().message);
    return reply ? *std::move(reply) : Reply();
  }

  Reply raw(const std::vector<std::string>& command) {
    auto reply = connection_->call(command, {});
    EXPECT_TRUE(reply) << (reply ? "" : reply.error().message);
    return reply ? *std::move(reply) : Reply();
  }

  void clear() {
    call(clear_, {});
    builds_.clear();
    waiting_.clear();
  }

  std::string push(Customer& customer, const std::string& service, const std::string& provider,
                   const std::string& repository = "team/app", const std::string& branch = "main") {
    const std::string id = "d" + std::to_string(number_++);
    raw({"RPUSH", queue_,
         fmt::format(R"({{"deploymentId":"{}","serviceId":"{}","commitSha":"","branch":"{}",)"
                     R"("repositoryName":"{}",{}}})",
                     id, service, branch, repository, provider)});
    customer.last = id;
    ++customer.pushed;
    return id;
  }

  void join() { call(beat_, {k_lease, "3600000", "1", "", "", ""}); }

  void finish(const std::string& id) { call(finish_, {k_lease, id, R"({"status":"BUILDED"})"}); }

  /// The deployment that is built.
  std::string take_in_turn() {
    for (;;) {
      const Reply reply = call(take_, {k_lease, "3", "", "", std::to_string(domain::k_order_width),
                                       std::to_string(domain::k_most_passed)});
      const std::string word = reply.list.empty() ? "" : reply.list[0].text;
      if (word != "AGAIN") {
        return word == "JOB" ? reply.list.at(2).text : word;
      }
    }
  }

 private:
  struct Build {
    std::string deployment;
    int ends = 0;
    bool lost = false;  ///< It is given back, not finished.
  };

  void be_honest(std::size_t who) {
    static const std::array<std::string, k_honest> providers{
        github("anna"), github("ben"), k_victims_host, R"("gitProvider":null)"};
    Customer& customer = customers_[who];
    if (!customer.chance(6)) {
      return;
    }
    const auto ahead = static_cast<std::size_t>(raw({"LLEN", queue_}).integer +
                                                raw({"HLEN", own_key(queue_, "wait")}).integer);
    // Each of a service of its own: none is superseded.
    const std::string id =
        push(customer, fmt::format("h{}-{}", who, customer.pushed), providers[who]);
    waiting_[id] = {.ahead = ahead};
  }

  void be_hostile(std::size_t who, Customer& customer) {
    if (tick_ % k_phase == 0) {
      customer.is_active = customer.chance(30);
    }
    if (!customer.is_active) {
      return;
    }
    const std::string unique = fmt::format("x{}-{}", who, customer.pushed);
    switch (who) {
      case 0:  // An owner for each job.
        for (int i = customer.chance(10) ? 6 : 0; i > 0; --i) {
          const std::string name = fmt::format("x{}-{}", who, customer.pushed);
          push(customer, name, custom("https://" + name + ".test", "u"));
        }
        return;
      case 1:  // Spends the turns of another one's host.
        if (customer.chance(15)) {
          push(customer, unique, k_victims_host);
        }
        return;
      case 2:  // Another one's account, at a host called like GitHub.
        if (customer.chance(15)) {
          push(customer, unique, custom("github", "anna"));
        }
        return;
      case 3:  // A monorepo.
        if (customer.chance(3)) {
          for (int i = 0; i < 40; ++i) {
            push(customer, fmt::format("x{}-{}", who, customer.pushed), github("mono"));
          }
        }
        return;
      case 4:  // Builds of few services that end at once: the next one comes back in front.
        if (customer.chance(50)) {
          push(customer, fmt::format("short{}", customer.pick(3)),
               customer.chance(50) ? custom("https://" + unique + ".test", "u") : github("short"));
        }
        return;
      case 5:  // Thirty owners that had their turns.
        if (customer.chance(20)) {
          push(customer, unique, github(fmt::format("sybil{}", customer.pushed % 30)));
        }
        return;
      case 6:  // A service that changes its owner.
        if (customer.chance(20)) {
          push(customer, "turncoat", github(customer.chance(50) ? "ben" : unique));
        }
        return;
      case 7:  // Repositories of all the world.
        if (customer.chance(15)) {
          push(customer, unique, github("reader"), unique + "/app");
        }
        return;
      case 8:  // What can hardly be read, and what was there before.
        if (customer.chance(10)) {
          push(customer, unique, github("long"), "team/app", std::string(3'000, 'b'));
        } else if (customer.chance(10)) {
          raw({"RPUSH", queue_, "garbage"});
        } else if (customer.chance(10) && !customer.last.empty()) {
          raw({"RPUSH", queue_,
               fmt::format(R"({{"deploymentId":"{}","serviceId":"again"}})", customer.last)});
        }
        return;
      default:  // Takes back what waits, and kills the worker that builds it.
        if (customer.chance(20)) {
          push(customer, "killer" + std::to_string(customer.pick(5)), github("killer"));
        } else if (customer.chance(10) && !customer.last.empty()) {
          call(cancel_, {customer.last, "3600000"});
        }
    }
  }

  /// Jobs that had been taken are in front of everybody.
  void given_back(std::int64_t jobs) {
    for (auto& [id, wait] : waiting_) {
      wait.ahead += static_cast<std::size_t>(jobs);
    }
  }

  void end_builds() {
    for (std::size_t i = 0; i < builds_.size();) {
      if (builds_[i].ends > tick_) {
        ++i;
        continue;
      }
      const Build build = builds_[i];
      builds_.erase(builds_.begin() + static_cast<std::ptrdiff_t>(i));
      if (build.lost) {
        call(requeue_, {k_lease, build.deployment});
        given_back(1);
      } else {
        finish(build.deployment);
      }
    }
    if (pick(40) == 0) {  // Its process is lost, and all that it builds comes back.
      given_back(call(reap_, {k_lease}).list.at(1).integer);
      join();
      builds_.clear();
    }
    call(look_, {k_lease, "1000"});
  }

  void fill_slots(int in_turn) {
    while (builds_.size() < k_slots && !HasFailure()) {
      std::vector<std::string> arguments{k_lease, "3", "", ""};
      if (pick(100) < in_turn) {
        arguments.push_back(std::to_string(domain::k_order_width));
        arguments.push_back(std::to_string(domain::k_most_passed));
      }
      const std::string first = raw({"LINDEX", queue_, "0"}).text;
      const Reply reply = call(take_, arguments);
      const std::string word = reply.list.empty() ? "" : reply.list[0].text;
      if (word == "AGAIN") {
        continue;
      }
      if (word != "JOB") {
        ASSERT_EQ(word, "EMPTY");
        return;
      }
      begin(reply.list.at(2).text, reply.list.at(4).text, first != reply.list.at(4).text);
    }
  }

  void begin(const std::string& id, const std::string& payload, bool is_pass) {
    if (const auto own = waiting_.find(id); own != waiting_.end()) {
      outcome_.honest.push_back(own->second);
      outcome_.passed += is_pass ? 1 : 0;
      waiting_.erase(own);
    }
    for (auto& [other, wait] : waiting_) {
      ++wait.others;
      ASSERT_LE(wait.others, 2 * wait.ahead + 1) << other << " waits longer than was promised";
      ASSERT_LE(wait.others, wait.ahead + domain::k_order_width) << other;
    }
    const bool is_short = payload.contains("\"short");
    builds_.push_back({.deployment = id,
                       .ends = tick_ + (is_short ? 1 : 2 + pick(8)),
                       .lost = payload.contains("\"killer") && pick(2) == 0});
  }

  int pick(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }

  std::unique_ptr<Connection> connection_;
  const std::string queue_ = "attack" + random_hex(6);
  const Script clear_{"for _, key in ipairs(KEYS) do redis.call('DEL', key) end", queue_};
  const Script beat_{scripts::k_beat, queue_};
  const Script cancel_{scripts::k_cancel, queue_};
  const Script finish_{scripts::k_finish, queue_};
  const Script look_{scripts::k_look, queue_};
  const Script reap_{scripts::k_reap, queue_};
  const Script requeue_{scripts::k_requeue, queue_};
  const Script take_{scripts::k_take, queue_};
  std::mt19937_64 random_;
  std::array<Customer, k_honest + k_hostile> customers_;
  std::vector<Build> builds_;
  std::map<std::string, Wait> waiting_;  ///< Honest jobs.
  Outcome outcome_;
  int number_ = 0;
  int tick_ = 0;
};

/// While one of its builds runs, the next one of a service would be set aside, and come back in
/// front of all.
TEST_F(TurnsUnderAttack, NothingComesBackInFrontOfWhomItHasOvertaken) {
  join();
  Customer customer;
  push(customer, "a1", github("anna"));
  push(customer, "a2", github("anna"));
  take_in_turn();
  take_in_turn();  // Anna's builds are long.
  std::string running = push(customer, "t", github("short"));
  ASSERT_EQ(take_in_turn(), running);
  const std::string own = push(customer, "a3", github("anna"));
  for (int round = 0; round < 3; ++round) {
    const std::string next = push(customer, "t", github("short"));
    const std::string other = push(customer, "s" + std::to_string(round), github("short"));
    ASSERT_EQ(take_in_turn(), other) << "Anna has more builds";
    finish(other);
    finish(running);
    const std::string second = take_in_turn();
    EXPECT_EQ(second, own) << "the first was left once";
    if (second == own) {
      return;
    }
    running = next;
  }
}

/// An owner for each job: behind two others that wait, and in front of them.
TEST_F(TurnsUnderAttack, WhoMakesUpOwnersHasOneShare) {
  for (const bool in_front : {false, true}) {
    clear();
    join();
    Customer customer;
    for (const char* name : {"anna", "ben"}) {  // They had turns before.
      push(customer, std::string(name) + "0", github(name));
      finish(take_in_turn());
    }
    std::map<std::string, std::string> whose;
    const auto push_all = [&](const std::vector<std::string>& names) {
      for (const std::string& name : names) {
        for (int i = 1; i <= 40; ++i) {
          const std::string service = name + std::to_string(i);
          whose[push(customer, service, github(name == "made-up" ? service : name))] = name;
        }
      }
    };
    in_front ? push_all({"made-up", "anna", "ben"}) : push_all({"anna", "ben", "made-up"});
    std::map<std::string, int> taken;
    std::deque<std::string> running;
    for (int i = 0; i < 40; ++i) {
      if (running.size() == k_slots) {
        finish(running.front());
        running.pop_front();
      }
      running.push_back(take_in_turn());
      ++taken[whose.at(running.back())];
    }
    // Every second take is of the first owner in the list; the rest is for the others.
    EXPECT_LE(taken["made-up"], in_front ? 21 : 11);
    EXPECT_GE(taken["ben"], 9);
    EXPECT_GE(taken["anna"], 9);
  }
}

double mean(const std::vector<Wait>& waits) {
  double sum = 0;
  for (const Wait& wait : waits) {
    sum += static_cast<double>(wait.others);
  }
  return sum / static_cast<double>(std::max<std::size_t>(waits.size(), 1));
}

TEST_F(TurnsUnderAttack, NobodyWaitsLongerThanPromisedAndTheHonestGain) {
  const std::uint64_t seed =
      std::stoull(variable("ATTACK_SEED", std::to_string(std::random_device()())));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const int schedules = 1;
#else
  const int schedules = std::stoi(variable("ATTACK_SCHEDULES", "3"));
#endif
  std::cout << schedules << " schedules, ATTACK_SEED=" << seed << "\n";
  std::vector<Wait> fair;
  std::vector<Wait> fifo;
  std::size_t passed = 0;
  for (int i = 0; i < schedules; ++i) {
    const std::uint64_t each = seed + static_cast<std::uint64_t>(i);
    const Outcome turns = play(each, 100);
    ASSERT_FALSE(HasFailure()) << "ATTACK_SEED=" << each;
    play(each, 50);  // Beside workers of the list's order.
    ASSERT_FALSE(HasFailure()) << "ATTACK_SEED=" << each << ", both orders";
    const Outcome list = play(each, 0);
    passed += turns.passed;
    fair.insert(fair.end(), turns.honest.begin(), turns.honest.end());
    fifo.insert(fifo.end(), list.honest.begin(), list.honest.end());
  }
  std::cout << fmt::format(
      "{} honest jobs: other jobs taken before each, on average: {:.1f} in turn, {:.1f} in the "
      "list's order\n",
      fair.size(), mean(fair), mean(fifo));
  EXPECT_GT(passed, fair.size() / 10) << "it was their turn";
  EXPECT_LT(mean(fair), 1.25 * mean(fifo)) << "it is about seven tenths";
}

}  // namespace
}  // namespace builder
