#include "adapters/redis/chosen_queue.hpp"

#include "adapters/redis/client/connection.hpp"
#include "adapters/redis/client/script_runner.hpp"

#include <atomic>
#include <mutex>
#include <utility>

namespace builder::adapters::redis {

namespace {

using ports::JobQueue;
using ports::Receipt;

class ChosenQueue final : public JobQueue {
 public:
  ChosenQueue(RedisConfig config, QueueSettings settings, UnsafeSettings unsafe, Log log)
      : config_(std::move(config)),
        settings_(std::move(settings)),
        unsafe_(std::move(unsafe)),
        log_(std::move(log)) {}

  void join(ports::QueueListener& listener) override { listener_ = &listener; }

  void leave() override {
    if (JobQueue* queue = chosen_) {
      queue->leave();
    }
  }

  Result<std::size_t> recover() override {
    if (chosen_ == nullptr) {
      auto found = choose();
      if (!found) {
        set_problem(found.error());
        return std::unexpected(std::move(found).error());
      }
    }
    return chosen_.load()->recover();
  }

  Result<std::optional<std::vector<std::string>>> doubtful() override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->doubtful();
  }

  Result<std::size_t> vetted(const std::vector<domain::DeploymentId>& ended) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->vetted(ended);
  }

  Result<std::optional<ports::TakenJob>> take(std::chrono::milliseconds patience,
                                              const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->take(patience, stop);
  }

  Result<std::vector<domain::DeploymentId>> look() override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->look();
  }

  Result<> record(const Receipt& receipt, const domain::Checkpoint& checkpoint) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->record(receipt, checkpoint);
  }

  Result<std::string> recall(const Receipt& receipt, const ports::ServiceMemory& memory) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->recall(receipt, memory);
  }

  Result<> remember(const Receipt& receipt, const ports::ServiceMemory& memory,
                    const std::string& text) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->remember(receipt, memory, text);
  }

  Result<> requeue(const Receipt& receipt) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->requeue(receipt);
  }

  Result<ports::Ending> finish(const Receipt& receipt, const ports::StatusUpdate& update) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->finish(receipt, update);
  }

  Result<> settle(const Receipt& receipt, ports::Delivery delivery,
                  std::optional<ports::DeploymentStatus> posted) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->settle(receipt, delivery, posted);
  }

  Result<std::optional<ports::Undelivered>> adopt() override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->adopt();
  }

  Result<ports::CancelAnswer> cancel(const domain::DeploymentId& deployment) override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->cancel(deployment);
  }

  Result<std::size_t> length() override {
    BUILDER_TRY_ASSIGN(JobQueue* const queue, chosen());
    return queue->length();
  }

  void activity_changed() override {
    if (JobQueue* const queue = chosen_) {
      queue->activity_changed();
    }
  }

  [[nodiscard]] std::optional<ports::Pause> pause() const override {
    const JobQueue* const queue = chosen_;
    return queue == nullptr ? std::nullopt : queue->pause();
  }

  [[nodiscard]] std::string guarantee() const override {
    const JobQueue* const queue = chosen_;
    return queue == nullptr ? "unknown" : queue->guarantee();
  }

  [[nodiscard]] std::string warning() const override {
    const JobQueue* const queue = chosen_;
    return queue == nullptr ? std::string() : queue->warning();
  }

 private:
  Result<> choose() {
    BUILDER_TRY_ASSIGN(const auto connection,
                       Connection::open(config_, "deployra-builder-probe", {}));
    const auto scripts = may_run_scripts(*connection, {});
    if (scripts) {
      for (const std::string& journal : unsafe_.lost_journals) {
        log_.warning(
            "a worker without scripts was lost; what it built has no end before one starts at "
            "guarantee C again: {}",
            journal);
      }
      queue_ = make_job_queue(config_, settings_, log_);
    } else if (scripts.error().kind == ErrorKind::denied) {
      log_.warning(
          "queue guarantee C, by ALLOW_UNSAFE_QUEUE: a crash of this worker fails the deployments "
          "it builds and loses one that it is just taking, and workers do not know of each other: "
          "{}",
          scripts.error().message);
      queue_ = make_unsafe_queue(config_, unsafe_, log_);
    } else {
      return scripts;
    }
    queue_->join(*listener_);
    chosen_ = queue_.get();
    return {};
  }

  Result<JobQueue*> chosen() const {
    if (JobQueue* queue = chosen_) {
      return queue;
    }
    const std::scoped_lock lock(mutex_);
    return std::unexpected(problem_);
  }

  void set_problem(const Error& problem) {
    const std::scoped_lock lock(mutex_);
    problem_ = problem;
  }

  const RedisConfig config_;
  const QueueSettings settings_;
  const UnsafeSettings unsafe_;
  const Log log_;
  ports::QueueListener* listener_ = nullptr;
  std::unique_ptr<JobQueue> queue_;
  std::atomic<JobQueue*> chosen_ = nullptr;  ///< `queue_`, once it has joined.
  mutable std::mutex mutex_;
  Error problem_{.kind = ErrorKind::unavailable, .message = "not connected to Redis yet"};
};

}  // namespace

std::unique_ptr<JobQueue> make_chosen_queue(RedisConfig config, QueueSettings settings,
                                            UnsafeSettings unsafe, Log log) {
  return std::make_unique<ChosenQueue>(std::move(config), std::move(settings), std::move(unsafe),
                                       std::move(log));
}

}  // namespace builder::adapters::redis
