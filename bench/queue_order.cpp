// What turns cost and what they give, beside FIFO: how long `take` is at a long queue, and how long
// one owner waits while another one pushes a monorepo again and again. Builds are played on a clock
// of their own; Redis is real. REDIS_HOST, REDIS_PORT, REDIS_USERNAME and REDIS_PASSWORD say where.
#include "adapters/redis/leased/job_queue.hpp"
#include "base/text.hpp"

#include "queue_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace builder;
using adapters::redis::Connection;
using adapters::redis::RedisConfig;
using bench::Silent;
using bench::variable;
using domain::QueueOrder;
using Clock = std::chrono::steady_clock;

constexpr int k_queued = 100'000;
constexpr int k_takes = 1'000;
constexpr std::size_t k_slots = 4;
constexpr int k_push = 40;  ///< Services of the monorepo.

/// As the platform writes it.
std::string job(int number, const std::string& owner, std::size_t bytes) {
  std::string text = fmt::format(
      R"({{"deploymentId":"d{:019}","serviceId":"s{:019}","commitSha":"","branch":"main",)"
      R"("repositoryName":"{}/app","gitProvider":{{"type":"GITHUB","githubAccount":{{"username":"{}",)"
      R"("accessToken":"gho_x"}}}},"environmentVariables":[)",
      number, number, owner, owner);
  for (int i = 0; text.size() + 100 < bytes; ++i) {
    text += fmt::format(R"({{"key":"KEY{}","value":"{}"}},)", i, std::string(60, 'v'));
  }
  return text + R"({"key":"LAST","value":""}]})";
}

double quantile(std::vector<double>& values, int percent) {
  std::ranges::sort(values);
  return values[values.size() * static_cast<std::size_t>(percent) / 100];
}

/// One queue, and a worker of each order that takes from it.
class Bench {
 public:
  Bench() {
    config_.address.host = variable("REDIS_HOST", "127.0.0.1");
    config_.address.port = static_cast<std::uint16_t>(std::stoi(variable("REDIS_PORT", "6379")));
    config_.username = variable("REDIS_USERNAME", "");
    config_.password = Secret(variable("REDIS_PASSWORD", ""));
    config_.queue = "bench" + random_hex(6);
    pusher_ = Connection::open(config_, "bench", {}).value();
    for (const QueueOrder order : {QueueOrder::fair, QueueOrder::fifo}) {
      config_.order = order;
      auto& worker = workers_[order] = adapters::redis::make_job_queue(config_, {}, Log(silent_));
      worker->join(*silent_);
      worker->doubtful().value();
      worker->vetted({}).value();
    }
  }

  ~Bench() {
    pusher_->call({"DEL", config_.queue}, {}).value();
    for (auto& [order, worker] : workers_) {
      worker->leave();
    }
  }

  void push(const std::string& element) {
    pusher_->call({"RPUSH", config_.queue, element}, {}).value();
  }

  void clear() { pusher_->call({"DEL", config_.queue}, {}).value(); }

  ports::TakenJob take(QueueOrder order) {
    return workers_.at(order)->take(std::chrono::seconds(5), {}).value().value();
  }

  void end(QueueOrder order, const ports::Receipt& receipt) {
    workers_.at(order)->finish(receipt, {.status = ports::DeploymentStatus::builded}).value();
    workers_.at(order)
        ->settle(receipt, ports::Delivery::done, ports::DeploymentStatus::builded)
        .value();
  }

 private:
  const std::shared_ptr<Silent> silent_ = std::make_shared<Silent>();
  RedisConfig config_;
  std::unique_ptr<Connection> pusher_;
  std::map<QueueOrder, std::unique_ptr<ports::JobQueue>> workers_;
};

void measure_takes(Bench& bench, int& number, std::size_t bytes, int owners) {
  for (int i = 0; i < k_queued; ++i) {
    bench.push(job(number++, "owner" + std::to_string(i % owners), bytes));
  }
  std::map<QueueOrder, std::vector<double>> times;
  for (int i = 0; i < k_takes; ++i) {
    for (const QueueOrder order : {QueueOrder::fair, QueueOrder::fifo}) {
      const auto began = Clock::now();
      const auto taken = bench.take(order);
      times[order].push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - began).count());
      bench.end(order, taken.receipt);
    }
  }
  auto& fair = times[QueueOrder::fair];
  auto& fifo = times[QueueOrder::fifo];
  fmt::print(
      "take at {} queued of {} KB, {} owners: fair p50 {:.2f} ms, p99 {:.2f} ms; fifo p50 {:.2f} "
      "ms, "
      "p99 {:.2f} ms\n",
      k_queued, bytes / 1000, owners, quantile(fair, 50), quantile(fair, 99), quantile(fifo, 50),
      quantile(fifo, 99));
  bench.clear();
}

struct Slot {
  double free_at = 0;
  std::optional<ports::Receipt> receipt;
};

struct Load {
  int push = 1;          ///< Jobs at once; with one, nothing stands in front of the others.
  bool made_up = false;  ///< Each is of an owner of its own.
  int others = 1;
};

/// Owners `b…` push a job each now and then; `a` keeps all slots busy, with so many jobs whenever
/// none of its own waits any more. Returns the waits of the others in minutes.
std::vector<double> waits(Bench& bench, int& number, QueueOrder order, const Load& load) {
  std::mt19937 random(7);
  std::exponential_distribution<double> build(1.0 / 3);  // Minutes.
  std::exponential_distribution<double> pause(load.others / 20.0);
  std::array<Slot, k_slots> slots;
  std::map<std::string, double> pushed;  // Of the others.
  std::vector<double> found;
  int queued_of_a = 0;
  double next = pause(random);
  while (found.size() < 300) {
    Slot& slot = *std::ranges::min_element(slots, {}, &Slot::free_at);
    const double now = slot.free_at;
    if (slot.receipt) {
      bench.end(order, *slot.receipt);
    }
    for (; next <= now; next += pause(random)) {
      pushed[fmt::format("d{:019}", number)] = next;
      bench.push(job(number, "b" + std::to_string(number % load.others), 2'000));
      ++number;
    }
    if (queued_of_a == 0 && (load.push > 1 || pushed.empty())) {
      for (; queued_of_a < load.push; ++queued_of_a) {
        bench.push(job(number, load.made_up ? "a" + std::to_string(number) : "a", 2'000));
        ++number;
      }
    }
    const auto taken = bench.take(order);
    if (const auto one = pushed.find(taken.receipt.deployment.str()); one != pushed.end()) {
      found.push_back(now - one->second);
      pushed.erase(one);
    } else {
      --queued_of_a;
    }
    slot = {.free_at = now + build(random), .receipt = taken.receipt};
  }
  for (const Slot& slot : slots) {
    if (slot.receipt) {
      bench.end(order, *slot.receipt);
    }
  }
  bench.clear();
  return found;
}

}  // namespace

int main() {
  Bench bench;
  int number = 0;
  for (const int others : {1, 5}) {
    auto idle = waits(bench, number, QueueOrder::fifo, {.others = others});
    fmt::print(
        "{} slots, builds of 3 minutes; p95 of the wait of {} others, nothing in front: "
        "{:.1f} min\n",
        k_slots, others, quantile(idle, 95));
    for (const bool made_up : {false, true}) {
      for (const auto& [name, order] :
           {std::pair("fair", QueueOrder::fair), {"fifo", QueueOrder::fifo}}) {
        auto loaded =
            waits(bench, number, order, {.push = k_push, .made_up = made_up, .others = others});
        fmt::print(
            "  while {} pushes {} services at a time, {}: {:.1f} min, {:.1f} times as long\n",
            made_up ? "one of many names" : "one owner", k_push, name, quantile(loaded, 95),
            quantile(loaded, 95) / quantile(idle, 95));
      }
    }
  }
  for (const std::size_t bytes : {std::size_t{2'000}, std::size_t{10'000}}) {
    for (const int owners : {1, 50}) {
      measure_takes(bench, number, bytes, owners);
    }
  }
}
