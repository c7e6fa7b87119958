#pragma once

#include "adapters/redis/unleased/job_journal.hpp"
#include "domain/queue_rules.hpp"
#include "ports/job_queue.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace builder::adapters::redis {

/// What one process has of the queue where Redis cannot keep the rules: the ledger of its jobs, the
/// journal of it, and the jobs that come before the queue. Not thread-safe.
class LocalJobs {
 public:
  using Jobs = std::vector<domain::QueuedJob>;
  using Changes = domain::JobLedger::Changes;

  LocalJobs(std::string journal, std::shared_ptr<const ports::Lease> lease);

  /// A job that has left the queue, to build, unless it has to be elsewhere. An error: it could not
  /// be noted and has to go back; `keep` it if it cannot.
  Result<std::optional<ports::TakenJob>> accept(domain::QueuedJob job, Changes& changes);
  /// Jobs that stay queued: see `JobLedger::look`.
  Jobs look(const Jobs& queued, Changes& changes);
  /// A job that waited for the end of a build and need not any more.
  std::optional<domain::QueuedJob> next_ready();

  /// The jobs that go back to the queue's head, first ones first. They are not here any more; then
  /// `queued`, or `keep` when that failed: they are ready here.
  Result<Jobs> requeue(const domain::DeploymentId& id, Changes& changes);
  /// The same of everything.
  Jobs requeue_all(Changes& changes);
  void queued(const Jobs& jobs);
  void keep(const Jobs& jobs);

  /// The journal stays only if something has not ended or is not delivered.
  void close() { journal_.close(); }

  Result<> record(const domain::DeploymentId& id, const domain::Checkpoint& checkpoint);
  /// For as long as the process lives.
  Result<std::string> recall(const domain::DeploymentId& id,
                             const ports::ServiceMemory& memory) const;
  Result<> remember(const domain::DeploymentId& id, const ports::ServiceMemory& memory,
                    const std::string& text);
  Result<ports::Ending> finish(const domain::DeploymentId& id, const ports::StatusUpdate& update);
  Result<> settle(const domain::DeploymentId& id, ports::Delivery delivery);
  std::optional<ports::Undelivered> adopt();
  /// `noted`: it is not here, though it may be queued.
  ports::CancelAnswer cancel(const domain::DeploymentId& id);

  [[nodiscard]] bool has_ended(const domain::DeploymentId& id) const {
    return ledger_.known(id).ended;
  }

  /// An end that nobody posts yet. It counts here even if it could not be noted.
  Result<> conclude(const domain::DeploymentId& id, ports::Ending ending);

 private:
  [[nodiscard]] ports::Receipt receipt(const domain::DeploymentId& id) const;
  void end(const domain::QueuedJob& job, ports::Verdict verdict, Changes& changes);
  void end_cancelled(Jobs& jobs, Changes& changes);
  void supersede_ready(const domain::QueuedJob& job, Changes& changes);
  Result<> note_end(const domain::DeploymentId& id);
  void note(const Changes& changes);

  std::shared_ptr<const ports::Lease> lease_;
  JobJournal journal_;
  domain::JobLedger ledger_;
  std::deque<domain::QueuedJob> ready_;  ///< They waited; the next to be taken.
  std::map<std::string, std::string> memories_;
  std::size_t memories_size_ = 0;  ///< Bytes of all together.
};

}  // namespace builder::adapters::redis
