#pragma once

#include "adapters/redis/job_journal.hpp"
#include "domain/deployment_request.hpp"
#include "ports/job_queue.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace builder::adapters::redis {

/// The newest ids of a kind; the oldest are forgotten.
class RecentIds {
 public:
  void insert(const std::string& id);

  [[nodiscard]] bool contains(const std::string& id) const { return ids_.contains(id); }

 private:
  std::set<std::string> ids_;
  std::deque<std::string> order_;
};

/// The queue's rules (the scripts') for the jobs of one process, where Redis cannot keep them: who
/// builds, who waits for whom, what has ended and is not delivered. Keeps the journal. Not
/// thread-safe.
class LocalJobs {
 public:
  /// What the listener has to be told.
  struct News {
    std::vector<domain::DeploymentId> superseded;
    bool outbox = false;
    int malformed = 0;
  };

  LocalJobs(std::string journal, std::shared_ptr<const ports::Lease> lease);

  /// An element that has left the queue: a job to build, or what else it has to be. An error: it
  /// could not be noted and has to go back; `keep` it if it cannot.
  Result<std::optional<ports::TakenJob>> accept(const std::string& element, News& news);
  /// Whether a queued job is newer than one of its service that we build.
  [[nodiscard]] bool is_newer(const domain::ParsedJob& job) const;
  /// Such a job, which stays queued, supersedes what is built and what waits.
  void supersede(const domain::ParsedJob& job, News& news);
  /// An element that waited for the end of a build and need not any more.
  std::optional<std::string> next_ready();

  /// The elements that go back to the queue's head, first ones first. They are not here any more;
  /// then `queued`, or `keep` when that failed: they are ready here.
  Result<std::vector<std::string>> give_back(const domain::DeploymentId& id, News& news);
  /// The same of everything.
  std::vector<std::string> give_back_all(News& news);
  void queued(const std::vector<std::string>& elements);
  void keep(const std::vector<std::string>& elements);

  /// The journal stays only if something has not ended or is not delivered.
  void close() { journal_.close(); }

  Result<> record(const domain::DeploymentId& id, const domain::Stages& stages);
  /// For as long as the process lives.
  Result<std::string> times(const domain::DeploymentId& id, const domain::ServiceId& service) const;
  Result<> remember_times(const domain::DeploymentId& id, const domain::ServiceId& service,
                          const std::string& times);
  Result<ports::Ending> finish(const domain::DeploymentId& id, const ports::StatusUpdate& update);
  Result<> settle(const domain::DeploymentId& id, ports::Delivery delivery);
  std::optional<ports::Undelivered> adopt();
  /// Nothing: it is not here, though it may be queued.
  std::optional<ports::CancelAnswer> cancel(const domain::DeploymentId& id);

  [[nodiscard]] bool has_ended(const domain::DeploymentId& id) const {
    return ended_.contains(id.str());
  }

  /// An end that nobody posts yet. It counts here even if it could not be noted.
  Result<> conclude(const domain::DeploymentId& id, ports::Ending ending);

 private:
  struct Owned {
    std::string element;
    std::string service;
  };

  struct Outgoing {
    ports::Ending ending;
    bool ours = false;  ///< Somebody of this process delivers it.
  };

  [[nodiscard]] ports::Receipt receipt(const std::string& id) const;
  [[nodiscard]] std::string builder_of(const domain::ParsedJob& job) const;
  Result<> end(const std::string& id, ports::Ending ending, bool ours);
  void supersede_ready(const domain::ParsedJob& job, News& news);
  Result<bool> drop_or_wait(const domain::ParsedJob& job, const std::string& element, News& news);
  void let_go(std::string element, std::vector<std::string>& elements, News& news);
  void disown(const std::string& id);

  std::shared_ptr<const ports::Lease> lease_;
  JobJournal journal_;
  std::map<std::string, Owned> owned_;
  std::map<std::string, std::string> waiting_;  ///< By service.
  std::deque<std::string> ready_;               ///< They waited; the next to be taken.
  std::map<std::string, Outgoing> out_;
  std::map<std::string, domain::Stages> stages_;
  std::map<domain::ServiceId, std::string> times_;
  std::size_t times_size_ = 0;   ///< Bytes of all services together.
  std::set<std::string> newer_;  ///< Superseded.
  RecentIds ended_;
  RecentIds cancelled_;
};

}  // namespace builder::adapters::redis
