#pragma once

#include "base/result.hpp"
#include "domain/checkpoint.hpp"
#include "domain/ids.hpp"
#include "domain/queue_rules.hpp"
#include "ports/worker_entry.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

/// The queue as people see it, beside the workers. Nothing here holds a secret of a job: of its
/// element only the names of service, repository, branch and commit are read. These are texts of
/// strangers, as the element has them.
namespace builder::ports {

/// By Redis's clock, so that nobody else's counts.
using QueueTime = std::chrono::sys_time<std::chrono::milliseconds>;

/// An element that waits to be built.
struct WaitingJob {
  /// 1: the next one to be taken, as far as it can be told from what is known now. 0: set aside,
  /// `behind` another.
  std::size_t position = 0;
  std::string deployment;  ///< Empty: the element is no job; workers will drop it.
  std::string service;
  std::string repository;
  std::string branch;
  std::string commit;  ///< Empty: the branch's head.
  std::string owner;   ///< Whose it is; digits. Empty: it names nobody.
  std::size_t bytes = 0;
  int attempts = 0;       ///< Begun before, by workers that were lost.
  std::string behind;     ///< The deployment of the same service whose end it waits for.
  bool readable = false;  ///< It can be built, as far as its element tells.
};

/// A deployment that a worker has taken.
struct BuiltJob {
  std::string deployment;
  std::string service;
  std::string lease_id;
  std::string worker;  ///< `host:pid`; empty: the worker says nothing of itself (an older version).
  int attempt = 1;
  std::optional<std::chrono::milliseconds> age;  ///< Since it was taken, if the worker says it.
  std::string phase;                             ///< As in `RunningJob`; empty: not said.
  std::string step;
  bool cancelled = false;     ///< It is to stop, or …
  std::string superseded_by;  ///< … a newer deployment of the service makes it stop.
};

/// A final status that the platform has not taken yet.
struct UndeliveredEnd {
  std::string deployment;
  std::string status;  ///< BUILDED, FAILED, CANCELLED.
  std::string reason;  ///< `user`, `superseded`, `attempts`; empty: as its build ended.
  std::chrono::milliseconds age{0};
  std::string sender;  ///< Lease id; empty: nobody sends it at the moment.
};

struct DeadLetter {
  std::string reason;
  std::string deployment;  ///< Empty: what was dropped named none.
  std::size_t bytes = 0;   ///< Of what was dropped. The content itself was not kept.
  std::string sha1;        ///< Of the same.
  QueueTime time{};
  std::string entry;  ///< As it lies in Redis, which `drop` needs.
};

/// A lease, and what its holder says of itself.
struct QueueWorker {
  std::string lease_id;
  std::chrono::milliseconds lease_left{0};       ///< Below zero: silent; others take its jobs.
  std::optional<WorkerIdentity> identity;        ///< None: a worker of a version that says nothing.
  std::optional<std::chrono::milliseconds> age;  ///< Of the process.
  std::optional<std::chrono::milliseconds> said;  ///< How long ago it said so.
  std::vector<std::string> running;               ///< Deployments that are its own.
  std::size_t delivering = 0;                     ///< Ends it sends, of those that were looked at.
  std::optional<Pause> pause;
};

struct NamedPause {
  std::string whose;  ///< `*`, a host, or `host:pid`.
  Pause pause;
};

/// One moment of the queue, but for what is said otherwise.
struct QueueLook {
  QueueTime now{};
  std::size_t waiting = 0;
  /// Of `waiting`, in the order in which they are likely to be taken; those beyond 100 were read a
  /// moment later.
  std::vector<WaitingJob> first;
  std::vector<WaitingJob> set_aside;
  std::vector<BuiltJob> running;
  std::size_t undelivered = 0;
  std::vector<UndeliveredEnd> ends;  ///< Some of `undelivered`, at least 100 if there are so many.
  std::size_t dead = 0;
  std::vector<QueueWorker> workers;
  std::vector<NamedPause> pauses;
  /// Not empty: Redis refused to show more than what waits, and why.
  std::string refused;
};

/// All that Redis knows of one deployment.
struct DeploymentLook {
  QueueTime now{};
  std::size_t waiting_in_all = 0;
  std::optional<WaitingJob> waiting;
  std::optional<BuiltJob> running;
  int attempts = 0;  ///< Begun so far, of those that count.
  domain::Checkpoint checkpoint;
  std::optional<QueueTime> cancelled;
  std::string superseded_by;
  std::string status;              ///< Empty: it has not ended, or that is forgotten.
  std::optional<QueueTime> ended;  ///< When that was recorded.
  std::optional<UndeliveredEnd> undelivered;
  std::vector<DeadLetter> dead;

  [[nodiscard]] bool known() const {
    return waiting || running || attempts > 0 || cancelled || !superseded_by.empty() ||
           !status.empty() || ended || undelivered || !dead.empty();
  }
};

struct CancelReport {
  /// None: Redis runs no scripts for us; the message was published all the same.
  std::optional<domain::CancelAnswer> answer;
  std::string status;          ///< Of `late`: how it had ended.
  std::int64_t listeners = 0;  ///< Workers that heard the message.
};

/// A look at the queue, and what people may do to it. Needs neither a lease nor a folder, holds no
/// lock, and is safe beside workers of any version: reads are reads, of bounded size. One thread.
/// Errors: `unavailable`, `timed_out`, `denied` (credentials, rights), `cancelled`.
class QueueAdmin {
 public:
  virtual ~QueueAdmin() = default;

  /// At most `most` of what waits.
  virtual Result<QueueLook> look(std::size_t most, const std::stop_token& stop) = 0;
  /// Goes through the whole queue, in pages, if it has to.
  virtual Result<DeploymentLook> find(const domain::DeploymentId& deployment,
                                      const std::stop_token& stop) = 0;
  /// The newest first.
  virtual Result<std::vector<DeadLetter>> dead(const std::stop_token& stop) = 0;

  /// Puts an element behind all others, where the platform puts them; how many wait now.
  virtual Result<std::size_t> submit(const std::string& element, const std::stop_token& stop) = 0;
  /// Records a cancel as workers do, then publishes it as the platform does.
  virtual Result<CancelReport> cancel(const domain::DeploymentId& deployment,
                                      const std::stop_token& stop) = 0;
  /// How many were still there.
  virtual Result<std::size_t> drop(const std::vector<DeadLetter>& letters,
                                   const std::stop_token& stop) = 0;
  /// Workers named so take no jobs from now on. `pause.since` is set here.
  virtual Result<> pause(const std::string& whose, Pause pause, const std::stop_token& stop) = 0;
  /// False: there was no such pause.
  virtual Result<bool> resume(const std::string& whose, const std::stop_token& stop) = 0;
};

}  // namespace builder::ports
