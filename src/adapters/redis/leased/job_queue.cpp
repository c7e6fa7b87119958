#include "adapters/redis/leased/job_queue.hpp"

#include "adapters/redis/client/server_info.hpp"
#include "adapters/redis/client/shared_connection.hpp"
#include "adapters/redis/leased/checkpoint_entry.hpp"
#include "adapters/redis/leased/membership.hpp"
#include "adapters/redis/leased/outbox_entry.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "base/backoff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::adapters::redis {

namespace {

using ports::CancelAnswer;
using ports::Delivery;
using ports::Ending;
using ports::Receipt;
using ports::StatusUpdate;
using ports::TakenJob;
using ports::Undelivered;
using Clock = std::chrono::steady_clock;

/// How soon a paused worker notices that it is to go on.
constexpr std::chrono::milliseconds k_paused_poll{1'000};

std::unexpected<Error> not_ours(const Receipt& receipt) {
  return failure(ErrorKind::conflict, "deployment " + receipt.deployment.str() + " is not ours");
}

std::unexpected<Error> strange(std::string_view script) {
  return failure(ErrorKind::internal, "redis: a strange answer of " + std::string(script));
}

std::string_view word(const Reply& reply) {
  return reply.list.empty() ? std::string_view() : std::string_view(reply.list[0].text);
}

class RedisJobQueue final : public ports::JobQueue {
 public:
  RedisJobQueue(RedisConfig config, QueueSettings settings, const Log& log)
      : config_(std::move(config)),
        settings_(std::move(settings)),
        membership_(config_, settings_, log),
        poll_random_(make_random()) {}

  void join(ports::QueueListener& listener) override { membership_.join(listener); }

  void leave() override { membership_.leave(); }

  Result<std::size_t> recover() override {
    std::size_t jobs = 0;
    if (!settings_.ended_leases.empty()) {
      BUILDER_TRY_ASSIGN(const Reply reply, run(reap_, settings_.ended_leases));
      jobs += reply.list.size() == 2 ? static_cast<std::size_t>(reply.list[1].integer) : 0;
    }
    if (!settings_.old_worker_id.empty()) {
      const Script upgrade(scripts::k_upgrade, config_.queue,
                           {own_key(config_.queue, "taken:" + settings_.old_worker_id),
                            own_key(config_.queue, "cancelled")});
      BUILDER_TRY_ASSIGN(const Reply reply, run(upgrade, {}));
      jobs += reply.list.empty() ? 0 : static_cast<std::size_t>(reply.list[0].integer);
    }
    settings_.recovered();
    return jobs;
  }

  Result<std::optional<std::vector<std::string>>> doubtful() override {
    BUILDER_TRY(connect());
    if (!in_doubt_) {
      return std::nullopt;
    }
    std::vector<std::string> elements;
    for (std::int64_t from = 0;;) {
      BUILDER_TRY_ASSIGN(const Reply reply,
                         doubtful_.run(*own_, {std::to_string(from), std::to_string(k_look_ahead)},
                                       {}, k_reply_patience));
      if (reply.list.size() != 2) {
        return strange("doubtful");
      }
      for (const Reply& element : reply.list[1].list) {
        elements.push_back(element.text);
      }
      from = reply.list[0].integer;
      if (from == 0) {
        return elements;
      }
    }
  }

  Result<std::size_t> vetted(const std::vector<domain::DeploymentId>& ended) override {
    std::size_t count = 0;
    if (!ended.empty()) {
      BUILDER_TRY(connect());
      if (const auto rest = settings_.lease - (Clock::now() - redis_started_); rest > rest.zero()) {
        return failure(ErrorKind::unavailable,
                       fmt::format("Redis was started a moment ago and holds {} deployments that "
                                   "were built before; the other workers are waited for",
                                   ended.size()));
      }
      std::vector<std::string> ids;
      for (const domain::DeploymentId& id : ended) {
        ids.push_back(id.str());
      }
      BUILDER_TRY_ASSIGN(const Reply reply, ended_.run(*own_, ids, {}, k_reply_patience));
      count = reply.list.empty() ? 0 : static_cast<std::size_t>(reply.list[0].integer);
    }
    in_doubt_ = false;
    vetted_run_ = run_;
    return count;
  }

  Result<std::optional<TakenJob>> take(std::chrono::milliseconds patience,
                                       const std::stop_token& stop) override {
    const SteadyTime until = Clock::now() + patience;
    for (bool waited = false;;) {
      const auto lease = membership_.lease(until, stop);
      if (stop.stop_requested()) {
        return failure(ErrorKind::cancelled, "stopped");
      }
      if (!lease) {
        return std::unexpected(membership_.problem());
      }
      BUILDER_TRY_ASSIGN(auto attempt, take_now(lease, stop));
      if (attempt.job) {
        return std::move(attempt.job);
      }
      if (attempt.again) {
        continue;
      }
      if (attempt.paused) {
        // Not for longer than a job is waited for, and never without end at a full queue.
        sleep_for(std::min(k_paused_poll,
                           std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now())),
                  stop);
        return std::nullopt;
      }
      if (waited || in_doubt_) {
        return std::nullopt;
      }
      BUILDER_TRY(wait_for_element(until, stop));
      waited = true;
    }
  }

  Result<std::vector<domain::DeploymentId>> look() override {
    const auto lease = membership_.lease(Clock::now(), {});
    if (!lease) {
      return std::unexpected(membership_.problem());
    }
    BUILDER_TRY(connect());
    if (in_doubt_) {
      return std::vector<domain::DeploymentId>();
    }
    BUILDER_TRY_ASSIGN(
        const Reply reply,
        look_.run(*own_, {lease->id(), std::to_string(k_look_ahead)}, {}, k_reply_patience));
    std::vector<domain::DeploymentId> ids;
    if (word(reply) == "LOST") {
      membership_.hurry();
      return ids;
    }
    if (reply.list.size() != 4) {
      return strange("look");
    }
    membership_.tell(reply.list[1]);
    if (reply.list[3].integer > 0) {
      membership_.listener().outbox_filled();
    }
    for (const Reply& id : reply.list[2].list) {
      ids.emplace_back(id.text);
    }
    return ids;
  }

  Result<> record(const Receipt& receipt, const domain::Checkpoint& checkpoint) override {
    BUILDER_TRY_ASSIGN(const Reply reply, run(record_, {receipt.lease_id, receipt.deployment.str(),
                                                        write_checkpoint(checkpoint)}));
    return word(reply) == "OK" ? Result<>() : not_ours(receipt);
  }

  Result<std::string> recall(const Receipt& receipt, const ports::ServiceMemory& memory) override {
    BUILDER_TRY_ASSIGN(Reply reply,
                       run(times_, {receipt.lease_id, receipt.deployment.str(), memory.key()}));
    if (word(reply) != "OK" || reply.list.size() != 2) {
      return not_ours(receipt);
    }
    return std::move(reply.list[1].text);
  }

  Result<> remember(const Receipt& receipt, const ports::ServiceMemory& memory,
                    const std::string& text) override {
    BUILDER_TRY_ASSIGN(const Reply reply, run(times_, {receipt.lease_id, receipt.deployment.str(),
                                                       memory.key(), text}));
    return word(reply) == "OK" ? Result<>() : not_ours(receipt);
  }

  Result<> requeue(const Receipt& receipt) override {
    const auto handover = membership_.handover();
    BUILDER_TRY_ASSIGN(const Reply reply,
                       run(requeue_, {receipt.lease_id, receipt.deployment.str()}));
    membership_.release(receipt.lease_id, receipt.deployment);
    return word(reply) == "OK" ? Result<>() : not_ours(receipt);
  }

  Result<Ending> finish(const Receipt& receipt, const StatusUpdate& update) override {
    BUILDER_TRY_ASSIGN(const Reply reply, run(finish_, {receipt.lease_id, receipt.deployment.str(),
                                                        write_entry(update)}));
    if (word(reply) != "OK" || reply.list.size() != 2) {
      membership_.release(receipt.lease_id, receipt.deployment);
      return not_ours(receipt);
    }
    return read_entry(reply.list[1].text);
  }

  Result<> settle(const Receipt& receipt, Delivery delivery,
                  std::optional<ports::DeploymentStatus> posted) override {
    const std::string_view how = delivery == Delivery::done    ? "delivered"
                                 : delivery == Delivery::later ? "later"
                                                               : "unknown";
    const auto handover = membership_.handover();
    // At once behind the post: whoever dies in between has it posted again.
    BUILDER_TRY_ASSIGN(const Reply reply,
                       run(settle_, {receipt.lease_id, receipt.deployment.str(), std::string(how),
                                     posted ? std::string(ports::to_string(*posted)) : ""}));
    if (delivery != Delivery::later) {
      BUILDER_TRY(run(remember_, {receipt.deployment.str()}));
    }
    membership_.release(receipt.lease_id, receipt.deployment);
    return word(reply) == "OK" ? Result<>() : not_ours(receipt);
  }

  Result<std::optional<Undelivered>> adopt() override {
    const auto lease = membership_.lease(Clock::now(), {});
    if (!lease) {
      return std::unexpected(membership_.problem());
    }
    const auto handover = membership_.handover();
    const auto adopted = run(adopt_, {lease->id()});
    if (!adopted) {
      membership_.hurry();  // Something may be ours by now without our knowing.
    }
    BUILDER_TRY_ASSIGN(const Reply reply, adopted);
    if (reply.list.empty()) {
      return strange("adopt");
    }
    for (const Reply& id : reply.list.back().list) {
      membership_.listener().given_up(domain::DeploymentId(id.text));
    }
    if (word(reply) != "OUT") {
      return std::nullopt;
    }
    if (reply.list.size() != 4) {
      return strange("adopt");
    }
    BUILDER_TRY_ASSIGN(Ending ending, read_entry(reply.list[2].text));
    Undelivered undelivered{receipt(lease, reply.list[1].text), std::move(ending)};
    membership_.hold(lease->id(), undelivered.receipt.deployment);
    return undelivered;
  }

  Result<CancelAnswer> cancel(const domain::DeploymentId& deployment) override {
    BUILDER_TRY_ASSIGN(const Reply reply,
                       run(cancel_, {deployment.str(), std::to_string(k_cancel_memory.count())}));
    const std::string_view answer = word(reply);
    return answer == "OWNED"       ? CancelAnswer::owned
           : answer == "REMOVED"   ? CancelAnswer::removed
           : answer == "REPORTING" ? CancelAnswer::reporting
           : answer == "LATE"      ? CancelAnswer::late
                                   : CancelAnswer::noted;
  }

  Result<std::size_t> length() override {
    BUILDER_TRY_ASSIGN(const Reply reply, shared_.command({"LLEN", config_.queue}, Clock::now()));
    // Whoever is refused or has no lease cannot take, though Redis answers.
    if (membership_.joined() && !membership_.lease(Clock::now(), {})) {
      return std::unexpected(membership_.problem());
    }
    return static_cast<std::size_t>(reply.integer);
  }

  void activity_changed() override { membership_.hurry(); }

  [[nodiscard]] std::optional<ports::Pause> pause() const override { return membership_.pause(); }

  [[nodiscard]] std::string warning() const override { return membership_.warning(); }

  [[nodiscard]] std::string guarantee() const override {
    switch (membership_.level()) {
      case Level::a:
        return "A";
      case Level::b:
        return "B";
      case Level::refused:
        return "none";
      case Level::unknown:
        break;
    }
    return "unknown";
  }

 private:
  struct Attempt {
    std::optional<TakenJob> job;
    bool again = false;
    bool paused = false;
  };

  static Receipt receipt(const std::shared_ptr<const RenewedLease>& lease, std::string id) {
    return {domain::DeploymentId(std::move(id)), lease->id(), lease};
  }

  Result<> connect() {
    if (!own_ || !own_->usable()) {
      BUILDER_TRY_ASSIGN(own_, Connection::open(config_, "deployra-builder-take", {}));
      const ServerStart start = server_start(*own_, {});
      run_ = start.run_id;
      redis_started_ = Clock::now() - start.uptime;
      in_doubt_ = run_.empty() || run_ != vetted_run_;
    }
    return {};
  }

  Result<Attempt> take_now(const std::shared_ptr<const RenewedLease>& lease,
                           const std::stop_token& stop) {
    BUILDER_TRY(connect());
    if (in_doubt_) {
      return Attempt{};
    }
    const auto handover = membership_.handover(stop);
    if (!handover) {
      return failure(ErrorKind::cancelled, "stopped");
    }
    const auto reply =
        take_.run(*own_,
                  {lease->id(), std::to_string(domain::k_most_attempts), settings_.identity.host,
                   settings_.identity.process(), std::to_string(order_width()),
                   std::to_string(domain::k_most_passed)},
                  {}, k_reply_patience);
    if (!reply) {
      if (reply.error().kind == ErrorKind::denied) {
        membership_.rights_changed();
      } else {
        membership_.hurry();  // A job may be ours by now without our knowing.
      }
      return std::unexpected(reply.error());
    }
    return read_take(lease, *reply);
  }

  [[nodiscard]] std::size_t order_width() const {
    return config_.order == domain::QueueOrder::fair ? domain::k_order_width : 1;
  }

  Result<Attempt> read_take(const std::shared_ptr<const RenewedLease>& lease, const Reply& reply) {
    if (word(reply) == "LOST") {
      membership_.hurry();
      return failure(ErrorKind::unavailable, "the lease was taken away");
    }
    if (reply.list.size() < 2) {
      return strange("take");
    }
    if (word(reply) == "JOB" && reply.list.size() == 6) {
      TakenJob job{.receipt = receipt(lease, reply.list[2].text),
                   .attempt = static_cast<int>(reply.list[3].integer),
                   .payload = reply.list[4].text,
                   .checkpoint = read_checkpoint(reply.list[5].text)};
      const bool known = membership_.held(lease->id()).contains(job.receipt.deployment.str());
      membership_.tell(reply.list[1]);
      if (known) {
        // Redis came back with an old state and gave us what we are building: it is ours again.
        membership_.old_state_seen();
        return Attempt{.again = true};
      }
      membership_.set_pause("");
      membership_.hold(lease->id(), job.receipt.deployment);
      return Attempt{.job = std::move(job)};
    }
    membership_.tell(reply.list[1]);
    if (word(reply) == "PAUSED" && reply.list.size() == 3) {
      membership_.set_pause(reply.list[2].text);
      return Attempt{.paused = true};
    }
    membership_.set_pause("");
    const bool again = word(reply) == "AGAIN";
    if (again && reply.list.size() == 3) {
      if (reply.list[2].text == "ended") {
        membership_.listener().outbox_filled();
      } else if (reply.list[2].text == "malformed") {
        membership_.listener().malformed_element();
      } else if (reply.list[2].text == "duplicate") {
        membership_.old_state_seen();
      }
    }
    return Attempt{.again = again};
  }

  /// BLMOVE of the first element to where it is: changes nothing, and returns when there is one.
  Result<> wait_for_element(SteadyTime until, const std::stop_token& stop) {
    const auto patience = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (membership_.level() != Level::a) {
      std::uniform_int_distribution<int> jitter(0, 50);
      sleep_for(k_poll + std::chrono::milliseconds(jitter(poll_random_)), stop);
      return {};
    }
    BUILDER_TRY(connect());
    const std::string seconds =
        std::to_string(std::max(0.001, static_cast<double>(patience.count()) / 1000.0));
    const auto reply = own_->call({"BLMOVE", config_.queue, config_.queue, "LEFT", "LEFT", seconds},
                                  stop, patience + k_reply_patience);
    if (!reply && reply.error().message.contains("OOM")) {
      sleep_for(k_poll, stop);  // The scripts still run.
      return {};
    }
    if (!reply && reply.error().kind == ErrorKind::denied) {
      membership_.rights_changed();
      sleep_for(k_poll, stop);
      return {};
    }
    return reply ? Result<>() : std::unexpected(reply.error());
  }

  /// Once, or twice when the connection was broken: whoever has to be sure repeats it.
  Result<Reply> run(const Script& script, const std::vector<std::string>& arguments) {
    return shared_.run(
        [&](Connection& connection) {
          return script.run(connection, arguments, {}, k_reply_patience);
        },
        Clock::now());
  }

  const RedisConfig config_;
  const QueueSettings settings_;
  const Script doubtful_{scripts::k_doubtful, config_.queue};
  const Script ended_{scripts::k_ended, config_.queue};
  const Script adopt_{scripts::k_adopt, config_.queue};
  const Script cancel_{scripts::k_cancel, config_.queue};
  const Script finish_{scripts::k_finish, config_.queue};
  const Script requeue_{scripts::k_requeue, config_.queue};
  const Script look_{scripts::k_look, config_.queue};
  const Script record_{scripts::k_record, config_.queue};
  const Script remember_{scripts::k_remember, config_.queue};
  const Script reap_{scripts::k_reap, config_.queue};
  const Script settle_{scripts::k_settle, config_.queue};
  const Script take_{scripts::k_take, config_.queue};
  const Script times_{scripts::k_times, config_.queue};
  Membership membership_;

  std::unique_ptr<Connection> own_;  ///< Of the thread that takes, like what follows.
  std::string run_;                  ///< The start of the server it leads to.
  SteadyTime redis_started_{};
  std::string vetted_run_;
  bool in_doubt_ = true;
  SharedConnection shared_{config_};
  std::mt19937_64 poll_random_;
};

}  // namespace

std::unique_ptr<ports::JobQueue> make_job_queue(RedisConfig config, QueueSettings settings,
                                                const Log& log) {
  return std::make_unique<RedisJobQueue>(std::move(config), std::move(settings), log);
}

}  // namespace builder::adapters::redis
