#include "adapters/redis/job_queue.hpp"

#include "adapters/redis/scripts.hpp"
#include "base/backoff.hpp"

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

namespace builder::adapters::redis {

namespace {

using ports::CancelMark;
using ports::TakenJob;
using Clock = std::chrono::steady_clock;

constexpr BackoffPolicy k_reconnect{.base = std::chrono::milliseconds(100),
                                    .cap = std::chrono::milliseconds(5'000)};
constexpr std::chrono::seconds k_insist{30};
constexpr std::chrono::seconds k_reply_patience{5};
constexpr std::string_view k_remember_seconds = "604800";  // 7 days

/// Keys of ours carry the queue's name as hash tag: on a cluster they share its slot.
std::string own_key(const std::string& queue, const std::string& suffix) {
  const bool tagged = queue.contains('{') && queue.contains('}');
  return (tagged ? queue : "{" + queue + "}") + ":" + suffix;
}

class RedisJobQueue final : public ports::JobQueue {
 public:
  RedisJobQueue(RedisConfig config, const std::string& worker_id)
      : config_(std::move(config)),
        taken_key_(own_key(config_.queue, "taken:" + worker_id)),
        cancelled_key_(own_key(config_.queue, "cancelled")),
        random_(make_random()) {}

  Result<std::optional<TakenJob>> take(std::chrono::milliseconds patience,
                                       const std::stop_token& stop) override {
    if (stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped");
    }
    if (!blocking_ || !blocking_->usable()) {
      BUILDER_TRY(connect_blocking(stop));
      // The answer that told of a job may have been lost with the last connection.
      BUILDER_TRY_ASSIGN(auto stranded, stranded_job());
      if (stranded) {
        return hand_out(*std::move(stranded));
      }
    }
    auto reply = wait_for_job(patience, stop);
    if (!reply) {
      return std::unexpected(explain(std::move(reply).error()));
    }
    if (stop.stop_requested()) {
      if (reply->type == Reply::Type::text) {
        BUILDER_TRY(give_back({reply->text}));
      }
      return failure(ErrorKind::cancelled, "stopped");
    }
    if (reply->type != Reply::Type::text) {
      return std::nullopt;
    }
    return hand_out(std::move(reply->text));
  }

  Result<std::vector<std::string>> peek(std::size_t limit) override {
    BUILDER_TRY_ASSIGN(Reply reply,
                       command({"LRANGE", config_.queue, "0", std::to_string(limit - 1)}, once()));
    std::vector<std::string> payloads;
    for (Reply& element : reply.list) {
      payloads.push_back(std::move(element.text));
    }
    return payloads;
  }

  Result<> finish(const TakenJob& job) override {
    BUILDER_TRY(command({"LREM", taken_key_, "1", job.payload}, insist()));
    forget(job.payload);
    return {};
  }

  Result<> give_back(const TakenJob& job) override {
    BUILDER_TRY(command({"EVAL", scripts::k_give_back, "2", taken_key_, config_.queue, job.payload},
                        insist()));
    forget(job.payload);
    return {};
  }

  Result<std::size_t> recover() override {
    BUILDER_TRY_ASSIGN(
        const Reply reply,
        command({"EVAL", scripts::k_recover, "2", taken_key_, config_.queue}, once()));
    return static_cast<std::size_t>(reply.integer);
  }

  Result<std::size_t> length() override {
    BUILDER_TRY_ASSIGN(const Reply reply, command({"LLEN", config_.queue}, once()));
    return static_cast<std::size_t>(reply.integer);
  }

  Result<CancelMark> mark_cancelled(const domain::DeploymentId& deployment) override {
    BUILDER_TRY_ASSIGN(const Reply reply,
                       command({"EVAL", scripts::k_mark_cancelled, "2", config_.queue,
                                cancelled_key_, deployment.str(), std::string(k_remember_seconds)},
                               insist()));
    return reply.integer > 0 ? CancelMark::was_queued : CancelMark::not_queued;
  }

  Result<bool> is_cancelled(const domain::DeploymentId& deployment) override {
    BUILDER_TRY_ASSIGN(const Reply reply,
                       command({"ZSCORE", cancelled_key_, deployment.str()}, once()));
    return reply.type == Reply::Type::text;
  }

 private:
  static SteadyTime insist() { return Clock::now() + k_insist; }

  static SteadyTime once() { return Clock::now(); }

  Result<> connect_blocking(const std::stop_token& stop) {
    BUILDER_TRY_ASSIGN(blocking_, Connection::open(config_, "deployra-builder-take", stop));
    BUILDER_TRY_ASSIGN(const Reply id, blocking_->call({"CLIENT", "ID"}, stop));
    blocking_id_ = std::to_string(id.integer);
    return {};
  }

  Result<Reply> wait_for_job(std::chrono::milliseconds patience, const std::stop_token& stop) {
    const std::string seconds = std::to_string(static_cast<double>(patience.count()) / 1000.0);
    BUILDER_TRY(
        blocking_->send({"BLMOVE", config_.queue, taken_key_, "LEFT", "RIGHT", seconds}, stop));
    auto reply = blocking_->receive(stop, Clock::now() + patience + k_reply_patience);
    if (!reply && reply.error().kind == ErrorKind::cancelled) {
      // Redis may be moving a job this very moment: have it end the wait, and read how it ended.
      ignore(command({"CLIENT", "UNBLOCK", blocking_id_}, once()));
      reply = blocking_->receive({}, Clock::now() + std::chrono::seconds(1));
    }
    if (!reply && reply.error().kind == ErrorKind::timed_out) {
      blocking_.reset();
    }
    return reply;
  }

  static void ignore(const Result<Reply>&) {
    // Without the right to unblock, the job stays in our list and is found at the next start.
  }

  Result<std::optional<TakenJob>> hand_out(std::string payload) {
    const std::scoped_lock lock(handed_out_mutex_);
    handed_out_.insert(payload);
    return TakenJob{std::move(payload)};
  }

  void forget(const std::string& payload) {
    const std::scoped_lock lock(handed_out_mutex_);
    if (const auto found = handed_out_.find(payload); found != handed_out_.end()) {
      handed_out_.erase(found);
    }
  }

  /// A job in our list that nobody was given.
  Result<std::optional<std::string>> stranded_job() {
    BUILDER_TRY_ASSIGN(const Reply reply, command({"LRANGE", taken_key_, "0", "-1"}, once()));
    const std::scoped_lock lock(handed_out_mutex_);
    std::multiset<std::string> known = handed_out_;
    for (const Reply& element : reply.list) {
      if (const auto found = known.find(element.text); found != known.end()) {
        known.erase(found);
      } else {
        return element.text;
      }
    }
    return std::nullopt;
  }

  /// Runs a command on the shared connection; one that was lost is opened again, until `deadline`
  /// (a deadline that has passed still allows one attempt on a fresh connection).
  Result<Reply> command(const std::vector<std::string>& words, SteadyTime deadline) {
    const std::scoped_lock lock(command_mutex_);
    for (int attempt = 0;; ++attempt) {
      auto reply = attempt_command(words);
      if (reply || !reply.error().is_transient()) {
        return reply;
      }
      const auto delay = next_delay(k_reconnect, attempt, std::nullopt, random_);
      const bool again = attempt == 0 ? true : Clock::now() + delay < deadline;
      if (!again) {
        return reply;
      }
      if (attempt > 0) {
        sleep_for(delay, {});
      }
    }
  }

  Result<Reply> attempt_command(const std::vector<std::string>& words) {
    if (!shared_ || !shared_->usable()) {
      BUILDER_TRY_ASSIGN(shared_, Connection::open(config_, "deployra-builder", {}));
    }
    return shared_->call(words, {}, k_reply_patience);
  }

  static Error explain(Error error) {
    if (error.message.contains("unknown command")) {
      error.kind = ErrorKind::denied;
      error.message += " (Redis 6.2 or later is needed)";
    }
    return error;
  }

  const RedisConfig config_;
  const std::string taken_key_;
  const std::string cancelled_key_;

  std::unique_ptr<Connection> blocking_;  ///< Of the thread that takes.
  std::string blocking_id_;
  std::mutex handed_out_mutex_;
  std::multiset<std::string> handed_out_;
  std::mutex command_mutex_;
  std::unique_ptr<Connection> shared_;
  std::mt19937_64 random_;
};

}  // namespace

std::unique_ptr<ports::JobQueue> make_job_queue(RedisConfig config, const std::string& worker_id) {
  return std::make_unique<RedisJobQueue>(std::move(config), worker_id);
}

}  // namespace builder::adapters::redis
