#include "adapters/redis/unleased/local_jobs.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace builder::adapters::redis {

namespace {

using domain::Place;
using domain::QueuedJob;
using ports::CancelAnswer;
using ports::Ending;
using ports::Verdict;

/// Of what deployments remember for the next ones; bytes.
constexpr std::size_t k_most_memories = 64u << 20;

std::unexpected<Error> not_ours(const domain::DeploymentId& id) {
  return failure(ErrorKind::conflict, "deployment " + id.str() + " is not ours");
}

}  // namespace

LocalJobs::LocalJobs(std::string journal, std::shared_ptr<const ports::Lease> lease)
    : lease_(std::move(lease)), journal_(std::move(journal)) {
}

Result<std::optional<ports::TakenJob>> LocalJobs::accept(QueuedJob job, Changes& changes) {
  const Place place = ledger_.placement(job).place;
  if (place == Place::dropped) {
    return std::nullopt;
  }
  BUILDER_TRY(journal_.taken(job.id.str()));
  if (place == Place::built) {
    supersede_ready(job, changes);
  }
  const auto checkpoint = ledger_.take(job, changes);
  note(changes);
  if (!checkpoint) {
    return std::nullopt;
  }
  return ports::TakenJob{.receipt = receipt(job.id),
                         .attempt = 1,
                         .payload = std::move(job.element),
                         .checkpoint = *checkpoint};
}

/// A build may have ended while the job was on its way to us: what waited for it is older.
void LocalJobs::supersede_ready(const QueuedJob& job, Changes& changes) {
  std::erase_if(ready_, [&](const QueuedJob& older) {
    const bool superseded = job.service && older.service == job.service && older.id != job.id;
    if (superseded) {
      end(older, Verdict::superseded, changes);
    }
    return superseded;
  });
}

LocalJobs::Jobs LocalJobs::look(const Jobs& queued, Changes& changes) {
  Jobs overtaken = ledger_.look(queued, changes);
  note(changes);
  return overtaken;
}

std::optional<QueuedJob> LocalJobs::next_ready() {
  if (ready_.empty()) {
    return std::nullopt;
  }
  QueuedJob job = std::move(ready_.front());
  ready_.pop_front();
  return job;
}

/// A cancelled one has its end instead: who takes it from the queue may not know of the cancel.
/// What waited for the job goes with it: another process must not take it for the older one.
Result<LocalJobs::Jobs> LocalJobs::requeue(const domain::DeploymentId& id, Changes& changes) {
  if (!ledger_.owns(id)) {
    return not_ours(id);
  }
  Jobs jobs = ledger_.requeue(id);
  end_cancelled(jobs, changes);
  return jobs;
}

LocalJobs::Jobs LocalJobs::requeue_all(Changes& changes) {
  Jobs jobs;
  while (!ledger_.owned().empty()) {
    std::ranges::move(ledger_.requeue(ledger_.owned().begin()->first), std::back_inserter(jobs));
  }
  std::ranges::move(std::exchange(ready_, {}), std::back_inserter(jobs));
  end_cancelled(jobs, changes);
  return jobs;
}

void LocalJobs::end_cancelled(Jobs& jobs, Changes& changes) {
  std::erase_if(jobs, [&](const QueuedJob& job) {
    const bool cancelled = ledger_.known(job.id).cancelled;
    if (cancelled) {
      end(job, Verdict::cancelled_by_user, changes);
    }
    return cancelled;
  });
  note(changes);
}

void LocalJobs::keep(const Jobs& jobs) {
  ready_.insert(ready_.begin(), jobs.begin(), jobs.end());
}

void LocalJobs::queued(const Jobs& jobs) {
  for (const QueuedJob& job : jobs) {
    [[maybe_unused]] const auto noted = journal_.over(job.id.str());
  }
}

Result<> LocalJobs::record(const domain::DeploymentId& id, const domain::Checkpoint& checkpoint) {
  return ledger_.record(id, checkpoint) ? Result<>() : not_ours(id);
}

Result<std::string> LocalJobs::recall(const domain::DeploymentId& id,
                                      const ports::ServiceMemory& memory) const {
  if (!ledger_.owns(id)) {
    return not_ours(id);
  }
  const auto found = memories_.find(memory.key());
  return found == memories_.end() ? std::string() : found->second;
}

Result<> LocalJobs::remember(const domain::DeploymentId& id, const ports::ServiceMemory& memory,
                             const std::string& text) {
  if (!ledger_.owns(id)) {
    return not_ours(id);
  }
  std::string& remembered = memories_[memory.key()];
  memories_size_ = memories_size_ - remembered.size() + text.size();
  remembered = text;
  for (auto other = memories_.begin();
       memories_size_ > k_most_memories && other != memories_.end();) {
    if (&other->second == &remembered) {
      ++other;
      continue;
    }
    memories_size_ -= other->second.size();
    other = memories_.erase(other);
  }
  return {};
}

Result<Ending> LocalJobs::finish(const domain::DeploymentId& id,
                                 const ports::StatusUpdate& update) {
  auto finished = ledger_.finish(id, update);
  if (!finished) {
    return not_ours(id);
  }
  // Ours even if it cannot be noted: the process that lives on delivers it.
  [[maybe_unused]] const auto noted = note_end(id);
  if (finished->next) {
    ready_.push_back(*std::move(finished->next));
  }
  return std::move(finished->ending);
}

Result<> LocalJobs::settle(const domain::DeploymentId& id, ports::Delivery delivery) {
  if (!ledger_.settle(id, delivery)) {
    return not_ours(id);
  }
  return delivery == ports::Delivery::later ? Result<>() : journal_.over(id.str());
}

std::optional<ports::Undelivered> LocalJobs::adopt() {
  auto adopted = ledger_.adopt();
  if (!adopted) {
    return std::nullopt;
  }
  return ports::Undelivered{receipt(adopted->first), std::move(adopted->second)};
}

CancelAnswer LocalJobs::cancel(const domain::DeploymentId& id) {
  CancelAnswer answer = ledger_.cancel(id);
  if (answer == CancelAnswer::noted &&
      std::erase_if(ready_, [&](const QueuedJob& job) { return job.id == id; }) > 0) {
    ledger_.conclude(id, {.verdict = Verdict::cancelled_by_user, .update = {}});
    answer = CancelAnswer::removed;
  }
  if (answer == CancelAnswer::removed || answer == CancelAnswer::reporting) {
    [[maybe_unused]] const auto noted = note_end(id);
  }
  return answer;
}

Result<> LocalJobs::conclude(const domain::DeploymentId& id, Ending ending) {
  ledger_.conclude(id, std::move(ending));
  return note_end(id);
}

Result<> LocalJobs::note_end(const domain::DeploymentId& id) {
  return journal_.ended(id.str(), ledger_.outgoing().at(id).ending);
}

void LocalJobs::end(const QueuedJob& job, Verdict verdict, Changes& changes) {
  ledger_.conclude(job.id, {.verdict = verdict, .update = {}});
  changes.ended.push_back(job.id);
}

/// What cannot be noted is so all the same: the process that lives on delivers it.
void LocalJobs::note(const Changes& changes) {
  for (const domain::DeploymentId& id : changes.ended) {
    [[maybe_unused]] const auto noted = note_end(id);
  }
}

ports::Receipt LocalJobs::receipt(const domain::DeploymentId& id) const {
  return {id, "unsafe", lease_};
}

}  // namespace builder::adapters::redis
