#include "adapters/redis/leased/waiting_room.hpp"

#include "adapters/redis/client/connection.hpp"
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/queue_look.hpp"
#include "adapters/redis/leased/renewed_lease.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace builder::adapters::redis {

namespace {

using std::chrono::milliseconds;

/// For one post. RenewedLease leaves a part of it to what is under way.
constexpr milliseconds k_last_look_holds{5'000};

std::vector<milliseconds> durations_of(const Reply& reply) {
  std::vector<milliseconds> durations;
  for (const Reply& one : reply.list) {
    std::int64_t number = 0;
    std::from_chars(one.text.data(), one.text.data() + one.text.size(), number);
    // What is longer was written by nobody of us.
    if (number >= 0 && milliseconds(number) <= std::chrono::hours(24)) {
      durations.emplace_back(number);
    }
  }
  return durations;
}

domain::QueuePace pace_of(const Books& books, const Reply& took) {
  domain::QueuePace pace{.slots = 0, .running = {}, .took = durations_of(took)};
  for (const ports::QueueWorker& worker : workers_of(books, {})) {
    if (worker.lease_left > milliseconds(0) && !worker.pause) {
      pace.slots += worker.identity ? worker.identity->slots : 1;
    }
  }
  for (const ports::BuiltJob& job : running_of(books)) {
    pace.running.push_back(job.age.value_or(milliseconds(0)));
  }
  return pace;
}

class RedisWaitingRoom final : public ports::WaitingRoom {
 public:
  RedisWaitingRoom(RedisConfig config, const WaitingRoomSettings& settings)
      : config_(std::move(config)), settings_(settings) {}

  Result<std::optional<domain::WaitingLine>> look(const std::vector<milliseconds>& took,
                                                  const std::stop_token& stop) override {
    const bool is_fair = config_.order == domain::QueueOrder::fair;
    // Whose turn comes among the first may stand behind them.
    const std::size_t read = settings_.most + (is_fair ? domain::k_order_width : 0);
    std::vector<std::string> arguments{me_, span(), std::to_string(read)};
    for (const milliseconds one : took) {
      arguments.push_back(std::to_string(one.count()));
    }
    BUILDER_TRY_ASSIGN(const Reply reply, run(waiting_, arguments, stop));
    if (reply.list.size() == 1) {
      return std::nullopt;
    }
    domain::WaitingLine line;
    if (reply.list.size() == 3) {
      return line;
    }
    if (reply.list.size() != 10) {
      return failure(ErrorKind::internal, "redis: a strange answer of waiting");
    }
    const Books books{.now = time_of(reply.list[1]),
                      .own = pairs_of(reply.list[3]),
                      .workers = pairs_of(reply.list[4]),
                      .about = pairs_of(reply.list[5]),
                      .pauses = pairs_of(reply.list[6]),
                      .whose = pairs_of(reply.list[7]),
                      .turns = pairs_of(reply.list[8])};
    line.pace = pace_of(books, reply.list[9]);
    std::vector<ports::WaitingJob> jobs;
    for (const Reply& element : reply.list[2].list) {
      jobs.push_back(read_element(element.text, jobs.size() + 1));
    }
    if (is_fair) {
      put_in_turn(jobs, running_of(books), books);
    }
    for (const ports::WaitingJob& job : jobs) {
      // What cannot be read is dropped or rejected, not built: nobody waits for it.
      if (job.readable && line.waiting.size() < settings_.most) {
        line.waiting.emplace_back(job.deployment);
      }
    }
    return line;
  }

  Result<std::shared_ptr<const ports::Lease>> still_waits(const domain::DeploymentId& deployment,
                                                          const std::stop_token& stop) override {
    const auto asked = RenewedLease::now();
    BUILDER_TRY_ASSIGN(const Reply reply, run(waits_, {me_, span(), deployment.str()}, stop));
    if (reply.list.empty() || reply.list[0].text != "WAITS") {
      return nullptr;
    }
    auto lease = std::make_shared<RenewedLease>(me_, std::min(settings_.span, k_last_look_holds));
    lease->renew(asked);
    return lease;
  }

 private:
  [[nodiscard]] std::string span() const { return std::to_string(settings_.span.count()); }

  Result<Reply> run(const Script& script, const std::vector<std::string>& arguments,
                    const std::stop_token& stop) {
    if (!connection_ || !connection_->usable()) {
      BUILDER_TRY_ASSIGN(connection_, Connection::open(config_, "deployra-builder-waiting", stop));
    }
    return script.run(*connection_, arguments, stop);
  }

  const RedisConfig config_;
  const WaitingRoomSettings settings_;
  const std::string me_ = random_hex(16);
  const std::vector<std::string> more_keys_{own_key(config_.queue, "speaker"),
                                            own_key(config_.queue, "took")};
  const Script waiting_{scripts::k_waiting, config_.queue, more_keys_};
  const Script waits_{scripts::k_waits, config_.queue, more_keys_};
  std::unique_ptr<Connection> connection_;
};

}  // namespace

std::unique_ptr<ports::WaitingRoom> make_waiting_room(RedisConfig config,
                                                      const WaitingRoomSettings& settings) {
  return std::make_unique<RedisWaitingRoom>(std::move(config), settings);
}

}  // namespace builder::adapters::redis
