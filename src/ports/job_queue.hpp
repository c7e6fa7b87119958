#pragma once

#include "base/result.hpp"
#include "domain/checkpoint.hpp"
#include "domain/ids.hpp"
#include "domain/queue_rules.hpp"
#include "ports/deployment_reporter.hpp"
#include "ports/job_context.hpp"
#include "ports/lease.hpp"
#include "ports/worker_entry.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace builder::ports {

/// Names a deployment and the lease under which we have it.
struct Receipt {
  domain::DeploymentId deployment;
  std::string lease_id;                ///< The queue's name for the lease.
  std::shared_ptr<const Lease> lease;  ///< Shared with the queue, which renews it.
};

/// A job we own until it is finished or given back, or until the lease is lost.
struct TakenJob {
  Receipt receipt;
  int attempt = 1;                ///< The first is 1; higher after workers were lost with it.
  std::string payload;            ///< As the platform wrote it.
  domain::Checkpoint checkpoint;  ///< What earlier attempts recorded.
};

using domain::CancelAnswer;
using domain::Delivery;
using domain::Ending;
using domain::Verdict;

/// A final status that still has to be posted.
struct Undelivered {
  Receipt receipt;
  Ending ending;
};

/// Called from the queue's own threads; must return soon.
class QueueListener {
 public:
  virtual ~QueueListener() = default;
  /// A deployment of ours, built or being reported, has to stop: cancelled, superseded, or the
  /// lease is lost.
  virtual void must_stop(const domain::DeploymentId& deployment, StopReason reason) = 0;
  /// There is something to `adopt`.
  virtual void outbox_filled() = 0;
  /// An element was no job.
  virtual void malformed_element() = 0;
  /// The status of a deployment could not be delivered for too long; nobody tries any more.
  virtual void given_up(const domain::DeploymentId& deployment) = 0;
  /// What people who look at the queue are told of this worker.
  [[nodiscard]] virtual WorkerActivity activity() const = 0;
};

/// One of the things that deployments of a service remember for the next ones.
struct ServiceMemory {
  enum class What { file_times, images, layers, bases, last_image };

  domain::ServiceId service;
  What what = What::file_times;

  /// Its name among those of all services. No service's id holds a '#'.
  [[nodiscard]] std::string key() const {
    switch (what) {
      case What::file_times:
        return service.str();
      case What::images:
        return service.str() + "#images";
      case What::layers:
        return service.str() + "#layers";
      case What::bases:
        return service.str() + "#bases";
      case What::last_image:
        return service.str() + "#last";
    }
    return {};
  }
};

/// The platform's queue, and beside it everything workers must agree on. A job is at every moment
/// in the queue, owned by one worker, waiting for the older build of its service, or ended; its end
/// is kept until the platform has it. All methods reconnect by themselves and are thread-safe;
/// `doubtful`, `vetted`, `take` and `look` are called by one thread.
/// Errors: `conflict` (what the receipt names is no longer ours), `unavailable`, `timed_out`,
/// `denied` (credentials, rights), `cancelled`.
class JobQueue {
 public:
  virtual ~JobQueue() = default;
  /// Becomes one of the queue's workers and stays it, on a thread of the queue's own, until
  /// `leave`. Returns at once.
  virtual void join(QueueListener& listener) = 0;
  /// Gives everything back that is still ours and ends the lease.
  virtual void leave() = 0;
  /// Gives back what processes of this host had that have ended, and what an older version left;
  /// how many jobs.
  virtual Result<std::size_t> recover() = 0;

  /// After each start of the server, which may have come back with an old state: the elements it
  /// remembers nothing of, for the caller to look up elsewhere. Until `vetted` was told, `take` and
  /// `look` find nothing. nullopt: there is no doubt.
  virtual Result<std::optional<std::vector<std::string>>> doubtful() = 0;
  /// Which of them have ended; they are not handed out. How many nobody knew better of.
  /// `unavailable`: whoever runs one has to be given the time to say so; ask again, from
  /// `doubtful`.
  virtual Result<std::size_t> vetted(const std::vector<domain::DeploymentId>& ended) = 0;
  /// Waits up to `patience` for a job. What has ended, is cancelled or has to wait is not handed
  /// out.
  virtual Result<std::optional<TakenJob>> take(std::chrono::milliseconds patience,
                                               const std::stop_token& stop) = 0;
  /// For when no slot is free: newer jobs of the services we build supersede the builds, and keep
  /// their places in the queue. The ids that are queued, oldest first, as far as it looked.
  virtual Result<std::vector<domain::DeploymentId>> look() = 0;
  /// Remembers how far a job of ours has come, for whoever has it next.
  virtual Result<> record(const Receipt& receipt, const domain::Checkpoint& checkpoint) = 0;
  /// What the deployments of the job's service left for the next ones; empty: nothing (any more).
  /// Opaque here; text.
  virtual Result<std::string> recall(const Receipt& receipt, const ServiceMemory& memory) = 0;
  virtual Result<> remember(const Receipt& receipt, const ServiceMemory& memory,
                            const std::string& text) = 0;
  /// Puts an unfinished job back to the head of the queue; the attempt is not counted.
  virtual Result<> requeue(const Receipt& receipt) = 0;

  /// Decides how a deployment ended; a cancel or a newer job that came first wins. What is returned
  /// has to be posted. Asked again, it tells what has to be posted now.
  virtual Result<Ending> finish(const Receipt& receipt, const StatusUpdate& update) = 0;
  /// `posted`: what the platform took, of `done`.
  virtual Result<> settle(const Receipt& receipt, Delivery delivery,
                          std::optional<DeploymentStatus> posted) = 0;
  /// An end that nobody posts, for us to post.
  virtual Result<std::optional<Undelivered>> adopt() = 0;

  virtual Result<CancelAnswer> cancel(const domain::DeploymentId& deployment) = 0;
  virtual Result<std::size_t> length() = 0;
  /// What `QueueListener::activity` says has changed, and is worth to be told soon.
  virtual void activity_changed() = 0;
  /// Who asked this worker to take no jobs, as far as it is known by now; `take` then gives none.
  [[nodiscard]] virtual std::optional<Pause> pause() const = 0;
  /// What the queue can promise on this server, in a word and a sentence: "A: …".
  [[nodiscard]] virtual std::string guarantee() const = 0;
  /// What the operator should change at the server lest jobs be lost; empty: nothing.
  [[nodiscard]] virtual std::string warning() const = 0;
};

}  // namespace builder::ports
