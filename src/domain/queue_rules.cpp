#include "domain/queue_rules.hpp"

#include "domain/deployment_request.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>

namespace builder::domain {

namespace {

constexpr std::size_t k_remembered = 100'000;

}  // namespace

bool had_turn(const Turns& turns, const std::string& owner) {
  const auto found = turns.find(owner);
  return found != turns.end() && found->second.last > 0;
}

CountedBuild take_turn(Turns& turns, const std::string& owner) {
  std::int64_t last = 0;
  for (const auto& [other, turn] : turns) {
    last = std::max(last, turn.last);
  }
  const CountedBuild build{.owner = owner, .newcomer = !had_turn(turns, owner)};
  if (build.newcomer) {
    turns[""].last = ++last;
  }
  turns[owner].last = last + 1;
  count_build(turns, build, 1);
  return build;
}

void count_build(Turns& turns, const CountedBuild& build, int change) {
  turns[build.owner].running += change;
  if (build.newcomer && !build.owner.empty()) {
    turns[""].running += change;
  }
}

std::size_t place_in_turn(const std::vector<InLine>& line, const Turns& turns, int passed,
                          std::size_t width, int most_passed) {
  if (passed >= most_passed) {
    return 0;
  }
  std::set<std::string> owners;                                   // Whose oldest job was seen.
  std::map<std::string_view, std::string_view> owner_of_service;  // A service has one owner here.
  std::size_t best = 0;
  std::optional<Turn> earliest;
  for (std::size_t place = 0; place < std::min(line.size(), width); ++place) {
    const InLine& job = line[place];
    if (!job.readable) {
      break;
    }
    if (job.busy) {
      continue;
    }
    std::string owner(job.service.empty()
                          ? job.owner
                          : owner_of_service.emplace(job.service, job.owner).first->second);
    if (!had_turn(turns, owner)) {
      owner.clear();
    }
    if (!owners.insert(owner).second) {
      continue;
    }
    const auto found = turns.find(owner);
    const Turn turn = found == turns.end() ? Turn{} : found->second;
    if (!earliest || turn < *earliest) {
      best = place;
      earliest = turn;
    }
  }
  return best;
}

std::vector<std::size_t> expected_order(std::vector<InLine> line, Turns turns, int passed,
                                        std::deque<CountedBuild> running) {
  std::vector<std::size_t> places(line.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::vector<std::size_t> order;
  while (!line.empty()) {
    if (line.front().readable && !running.empty()) {
      count_build(turns, running.front(), -1);
      running.pop_front();
    }
    const auto next = static_cast<std::ptrdiff_t>(place_in_turn(line, turns, passed));
    if (line.front().readable) {  // Else it needs no build.
      passed = next == 0 ? 0 : passed + 1;
      running.push_back(take_turn(turns, line[static_cast<std::size_t>(next)].owner));
    }
    order.push_back(places[static_cast<std::size_t>(next)]);
    line.erase(line.begin() + next);
    places.erase(places.begin() + next);
  }
  return order;
}

std::optional<QueuedJob> read_queued_job(std::string element) {
  ParsedJob job = parse_job(element);
  if (!job.deployment_id) {
    return std::nullopt;
  }
  return QueuedJob{.id = *std::move(job.deployment_id),
                   .service = std::move(job.service_id),
                   .element = std::move(element)};
}

void RecentIds::insert(const DeploymentId& id) {
  if (!ids_.insert(id).second) {
    return;
  }
  order_.push_back(id);
  if (order_.size() > k_remembered) {
    ids_.erase(order_.front());
    order_.pop_front();
  }
}

Placement JobLedger::placement(const QueuedJob& job) const {
  Known about = known(job.id);
  about.service_busy = job.service && builder_of(*job.service);
  return place_of(about);
}

std::optional<Checkpoint> JobLedger::take(QueuedJob job, Changes& changes) {
  const Placement placed = placement(job);
  switch (placed.place) {
    case Place::dropped:
      return std::nullopt;
    case Place::ended:
      changes.ended.push_back(job.id);
      conclude(job.id, {.verdict = placed.verdict, .update = {}});
      return std::nullopt;
    case Place::waiting: {
      supersede_by(job, changes);
      const ServiceId service = *job.service;
      waiting_.insert_or_assign(service, std::move(job));
      return std::nullopt;
    }
    case Place::built:
      break;
  }
  const DeploymentId id = job.id;
  owned_.emplace(id, std::move(job));
  return checkpoint(id);
}

std::vector<QueuedJob> JobLedger::look(const std::vector<QueuedJob>& queued, Changes& changes) {
  std::vector<QueuedJob> overtaken;
  std::map<ServiceId, const QueuedJob*> newest;  // So far.
  for (const QueuedJob& job : queued) {
    // What would be dropped, ended or built when its turn comes supersedes nothing.
    if (placement(job).place != Place::waiting ||
        std::ranges::find(overtaken, job.id, &QueuedJob::id) != overtaken.end()) {
      continue;
    }
    const auto before = newest.find(*job.service);
    const auto waits = waiting_.find(*job.service);
    if (before != newest.end() ? before->second->id == job.id
                               : waits != waiting_.end() && waits->second.id == job.id) {
      continue;  // It is here twice.
    }
    if (before != newest.end()) {
      overtaken.push_back(*before->second);
    }
    supersede_by(job, changes);
    newest[*job.service] = &job;
  }
  return overtaken;
}

/// Supersedes what is built of the job's service, and what waits.
void JobLedger::supersede_by(const QueuedJob& job, Changes& changes) {
  const DeploymentId running = *builder_of(*job.service);
  if (superseded_.insert(running).second) {
    changes.superseded.push_back(running);
  }
  const auto before = waiting_.find(*job.service);
  if (before == waiting_.end() || before->second.id == job.id) {
    return;
  }
  changes.ended.push_back(before->second.id);
  conclude(before->second.id, {.verdict = Verdict::superseded, .update = {}});
  waiting_.erase(before);
}

bool JobLedger::record(const DeploymentId& id, const Checkpoint& checkpoint) {
  if (!owns(id)) {
    return false;
  }
  checkpoints_[id] = checkpoint;
  return true;
}

std::vector<QueuedJob> JobLedger::requeue(const DeploymentId& id) {
  const auto owned = owned_.find(id);
  if (owned == owned_.end()) {
    return {};
  }
  std::vector<QueuedJob> jobs{owned->second};
  if (auto next = disown(id)) {
    jobs.push_back(*std::move(next));
  }
  return jobs;
}

std::optional<JobLedger::Finished> JobLedger::finish(const DeploymentId& id,
                                                     const StatusUpdate& update) {
  if (!owns(id)) {
    const auto out = outgoing_.find(id);
    return out != outgoing_.end() && out->second.ours
               ? std::optional(Finished{.ending = out->second.ending, .next = {}})
               : std::nullopt;
  }
  const Verdict verdict = verdict_on(known(id));
  Ending ending{.verdict = verdict,
                .update = verdict == Verdict::as_reported ? update : StatusUpdate{}};
  end(id, ending, true);
  return Finished{.ending = std::move(ending), .next = disown(id)};
}

bool JobLedger::settle(const DeploymentId& id, Delivery delivery) {
  const auto out = outgoing_.find(id);
  if (out == outgoing_.end() || !out->second.ours) {
    return false;
  }
  if (delivery == Delivery::later) {
    out->second.ours = false;
  } else {
    outgoing_.erase(out);
  }
  return true;
}

std::optional<std::pair<DeploymentId, Ending>> JobLedger::adopt() {
  const auto left =
      std::ranges::find_if(outgoing_, [](const auto& one) { return !one.second.ours; });
  if (left == outgoing_.end()) {
    return std::nullopt;
  }
  left->second.ours = true;
  return std::pair(left->first, left->second.ending);
}

CancelAnswer JobLedger::cancel(const DeploymentId& id) {
  const auto waits =
      std::ranges::find_if(waiting_, [&](const auto& one) { return one.second.id == id; });
  const CancelAnswer answer = answer_to_cancel(known(id), waits != waiting_.end());
  if (answer == CancelAnswer::late) {
    return answer;
  }
  cancelled_.insert(id);
  if (answer == CancelAnswer::reporting) {
    if (Ending& ending = outgoing_.at(id).ending;
        status_of(ending) != DeploymentStatus::cancelled) {
      ending = {.verdict = Verdict::cancelled_by_user, .update = {}};
    }
  } else if (answer == CancelAnswer::removed) {
    waiting_.erase(waits);
    conclude(id, {.verdict = Verdict::cancelled_by_user, .update = {}});
  }
  return answer;
}

void JobLedger::conclude(const DeploymentId& id, Ending ending) {
  end(id, std::move(ending), false);
}

/// The one way to an end.
void JobLedger::end(const DeploymentId& id, Ending ending, bool ours) {
  ended_.insert(id);
  checkpoints_.erase(id);
  superseded_.erase(id);
  outgoing_.insert_or_assign(id, Outgoing{.ending = std::move(ending), .ours = ours});
}

/// Returns the job that waited for it.
std::optional<QueuedJob> JobLedger::disown(const DeploymentId& id) {
  const auto owned = owned_.find(id);
  const auto service = owned->second.service;
  owned_.erase(owned);
  const auto next = service ? waiting_.find(*service) : waiting_.end();
  if (next == waiting_.end()) {
    return std::nullopt;
  }
  QueuedJob job = std::move(next->second);
  waiting_.erase(next);
  return job;
}

Known JobLedger::known(const DeploymentId& id) const {
  return {.ended = ended_.contains(id),
          .undelivered = outgoing_.contains(id),
          .owned = owns(id),
          .cancelled = cancelled_.contains(id),
          .superseded = superseded_.contains(id)};
}

std::optional<DeploymentId> JobLedger::builder_of(const ServiceId& service) const {
  const auto running =
      std::ranges::find_if(owned_, [&](const auto& one) { return one.second.service == service; });
  return running == owned_.end() ? std::nullopt : std::optional(running->first);
}

Checkpoint JobLedger::checkpoint(const DeploymentId& id) const {
  const auto found = checkpoints_.find(id);
  return found == checkpoints_.end() ? Checkpoint{} : found->second;
}

}  // namespace builder::domain
