// How long a pushed job takes to arrive, beside a plain BLPOP, and how many jobs a second go
// through the protocol. REDIS_HOST, REDIS_PORT, REDIS_USERNAME and REDIS_PASSWORD say where.
#include "adapters/redis/leased/job_queue.hpp"
#include "base/text.hpp"

#include "queue_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace builder;
using adapters::redis::Connection;
using adapters::redis::RedisConfig;
using bench::Silent;
using bench::variable;
using Clock = std::chrono::steady_clock;

constexpr int k_rounds = 2'000;
constexpr int k_jobs = 4'800;

std::string job(int number) {
  return fmt::format(R"({{"deploymentId":"d{}","serviceId":"s{}","branch":"main","padding":"{}"}})",
                     number, number, std::string(1'000, 'x'));
}

/// Pushes a job when the receiver waits, and measures until it has it.
std::vector<double> latencies(Connection& pusher, const std::string& queue,
                              const std::function<Clock::time_point()>& receive) {
  std::vector<double> milliseconds;
  for (int round = 0; round < k_rounds; ++round) {
    Clock::time_point pushed;
    std::jthread push([&] {
      std::this_thread::sleep_for(
          std::chrono::milliseconds(1));  // The receiver is waiting by then.
      pushed = Clock::now();
      if (!pusher.call({"RPUSH", queue, job(round)}, {})) {
        std::abort();
      }
    });
    const auto received = receive();
    push.join();
    milliseconds.push_back(std::chrono::duration<double, std::milli>(received - pushed).count());
  }
  std::ranges::sort(milliseconds);
  return milliseconds;
}

void print(const char* what, const std::vector<double>& sorted) {
  fmt::print("{}: p50 {:.3f} ms, p99 {:.3f} ms, max {:.3f} ms (n={})\n", what,
             sorted[sorted.size() / 2], sorted[sorted.size() * 99 / 100], sorted.back(),
             sorted.size());
}

}  // namespace

int main() {
  RedisConfig config;
  config.address.host = variable("REDIS_HOST", "127.0.0.1");
  config.address.port = static_cast<std::uint16_t>(std::stoi(variable("REDIS_PORT", "6379")));
  config.username = variable("REDIS_USERNAME", "");
  config.password = Secret(variable("REDIS_PASSWORD", ""));
  config.queue = "bench" + random_hex(6);
  const auto silent = std::make_shared<Silent>();
  const auto pusher = Connection::open(config, "bench", {}).value();
  const auto plain = Connection::open(config, "bench", {}).value();
  const auto queue = adapters::redis::make_job_queue(config, {}, Log(silent));
  queue->join(*silent);
  queue->doubtful().value();
  queue->vetted({}).value();

  const std::string list = config.queue + ":plain";
  for (int i = 0; i < 2; ++i) {  // The first time warms up.
    const auto blpop = latencies(*pusher, list, [&] {
      plain->call({"BLPOP", list, "5"}, {}).value();
      return Clock::now();
    });
    const auto take = latencies(*pusher, config.queue, [&] {
      for (;;) {
        if (const auto taken = queue->take(std::chrono::seconds(5), {}); taken && *taken) {
          const auto now = Clock::now();
          queue->requeue((*taken)->receipt).value();
          pusher->call({"DEL", config.queue}, {}).value();
          return now;
        }
      }
    });
    if (i == 1) {
      print("plain BLPOP", blpop);
      print("take", take);
    }
  }
  for (int number = 0; number < k_jobs; ++number) {
    pusher->call({"RPUSH", config.queue, job(10'000 + number)}, {}).value();
  }
  const auto started = Clock::now();
  std::vector<ports::Receipt> receipts;
  while (receipts.size() < k_jobs) {
    receipts.push_back(queue->take(std::chrono::seconds(5), {}).value()->receipt);
    // As many are built at once as a fleet builds; `take` looks at all of them.
    if (receipts.size() % 16 == 0) {
      for (std::size_t i = receipts.size() - 16; i < receipts.size(); ++i) {
        queue->finish(receipts[i], {.status = ports::DeploymentStatus::builded}).value();
        queue->settle(receipts[i], ports::Delivery::done, ports::DeploymentStatus::builded).value();
      }
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  fmt::print("take, finish, settle: {:.0f} jobs/s by one worker\n", k_jobs / seconds);
  queue->leave();
}
