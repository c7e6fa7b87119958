#include "adapters/redis/local_jobs.hpp"

#include <algorithm>
#include <utility>

namespace builder::adapters::redis {

namespace {

using ports::CancelAnswer;
using ports::Ending;
using ports::Verdict;

constexpr std::size_t k_remembered = 100'000;
/// Of what is remembered of file times; bytes.
constexpr std::size_t k_most_times = 64u << 20;

std::unexpected<Error> not_ours(const domain::DeploymentId& id) {
  return failure(ErrorKind::conflict, "deployment " + id.str() + " is not ours");
}

bool names(const std::string& element, const domain::DeploymentId& id) {
  return domain::parse_job(element).deployment_id == id;
}

Ending verdict(Verdict verdict) {
  return {.verdict = verdict, .update = {}};
}

}  // namespace

void RecentIds::insert(const std::string& id) {
  if (!ids_.insert(id).second) {
    return;
  }
  order_.push_back(id);
  if (order_.size() > k_remembered) {
    ids_.erase(order_.front());
    order_.pop_front();
  }
}

LocalJobs::LocalJobs(std::string journal, std::shared_ptr<const ports::Lease> lease)
    : lease_(std::move(lease)), journal_(std::move(journal)) {
}

Result<std::optional<ports::TakenJob>> LocalJobs::accept(const std::string& element, News& news) {
  const domain::ParsedJob job = domain::parse_job(element);
  BUILDER_TRY_ASSIGN(const bool gone, drop_or_wait(job, element, news));
  if (gone) {
    return std::nullopt;
  }
  const std::string& id = job.deployment_id->str();
  owned_[id] = {element, job.service_id ? job.service_id->str() : ""};
  const auto stages = stages_.find(id);
  return ports::TakenJob{.receipt = receipt(id),
                         .attempt = 1,
                         .payload = element,
                         .stages = stages == stages_.end() ? domain::Stages{} : stages->second};
}

/// Whether the element is dealt with; if not it is noted in the journal.
Result<bool> LocalJobs::drop_or_wait(const domain::ParsedJob& job, const std::string& element,
                                     News& news) {
  if (!job.deployment_id) {
    ++news.malformed;
    return true;
  }
  const std::string& id = job.deployment_id->str();
  if (ended_.contains(id) || owned_.contains(id)) {
    return true;
  }
  BUILDER_TRY(journal_.taken(id));
  if (cancelled_.contains(id) || newer_.contains(id)) {
    news.outbox = true;
    [[maybe_unused]] const auto noted = conclude(
        *job.deployment_id,
        verdict(cancelled_.contains(id) ? Verdict::cancelled_by_user : Verdict::superseded));
    return true;
  }
  if (!builder_of(job).empty()) {
    supersede(job, news);
    waiting_[job.service_id->str()] = element;
    return true;
  }
  supersede_ready(job, news);
  return false;
}

/// A build may have ended while the job was on its way to us: what waited for it is older.
void LocalJobs::supersede_ready(const domain::ParsedJob& job, News& news) {
  std::erase_if(ready_, [&](const std::string& element) {
    const domain::ParsedJob older = domain::parse_job(element);
    if (!job.service_id || older.service_id != job.service_id ||
        older.deployment_id == job.deployment_id) {
      return false;
    }
    [[maybe_unused]] const auto noted =
        conclude(*older.deployment_id, verdict(Verdict::superseded));
    news.outbox = true;
    return true;
  });
}

bool LocalJobs::is_newer(const domain::ParsedJob& job) const {
  if (!job.deployment_id || builder_of(job).empty()) {
    return false;
  }
  // What is dropped or ended when it is taken supersedes nothing.
  const std::string& id = job.deployment_id->str();
  return !ended_.contains(id) && !owned_.contains(id) && !cancelled_.contains(id) &&
         !newer_.contains(id);
}

void LocalJobs::supersede(const domain::ParsedJob& job, News& news) {
  const std::string running = builder_of(job);
  if (newer_.insert(running).second) {
    news.superseded.emplace_back(running);
  }
  const auto before = waiting_.find(job.service_id->str());
  if (before == waiting_.end() || names(before->second, *job.deployment_id)) {
    return;
  }
  const domain::ParsedJob older = domain::parse_job(before->second);
  waiting_.erase(before);
  news.outbox = true;
  [[maybe_unused]] const auto noted = conclude(*older.deployment_id, verdict(Verdict::superseded));
}

std::string LocalJobs::builder_of(const domain::ParsedJob& job) const {
  const auto running = std::ranges::find_if(owned_, [&](const auto& one) {
    return job.service_id && one.second.service == job.service_id->str();
  });
  return running == owned_.end() ? std::string() : running->first;
}

std::optional<std::string> LocalJobs::next_ready() {
  if (ready_.empty()) {
    return std::nullopt;
  }
  std::string element = std::move(ready_.front());
  ready_.pop_front();
  return element;
}

Result<std::vector<std::string>> LocalJobs::give_back(const domain::DeploymentId& id, News& news) {
  const auto owned = owned_.find(id.str());
  if (owned == owned_.end()) {
    return not_ours(id);
  }
  const Owned job = std::move(owned->second);
  owned_.erase(owned);
  std::vector<std::string> elements;
  let_go(job.element, elements, news);
  // Behind it, where it was: another process must not take it for the older one.
  if (const auto next = waiting_.find(job.service); next != waiting_.end()) {
    let_go(std::move(next->second), elements, news);
    waiting_.erase(next);
  }
  return elements;
}

std::vector<std::string> LocalJobs::give_back_all(News& news) {
  std::vector<std::string> elements;
  while (!owned_.empty()) {
    const auto some = give_back(domain::DeploymentId(owned_.begin()->first), news);
    elements.insert(elements.end(), some->begin(), some->end());
  }
  while (auto ready = next_ready()) {
    let_go(*std::move(ready), elements, news);
  }
  return elements;
}

/// A cancelled one has its end instead: who takes it from the queue may not know of the cancel.
void LocalJobs::let_go(std::string element, std::vector<std::string>& elements, News& news) {
  const domain::DeploymentId id = *domain::parse_job(element).deployment_id;
  if (!cancelled_.contains(id.str())) {
    elements.push_back(std::move(element));
    return;
  }
  [[maybe_unused]] const auto noted = conclude(id, verdict(Verdict::cancelled_by_user));
  news.outbox = true;
}

void LocalJobs::keep(const std::vector<std::string>& elements) {
  ready_.insert(ready_.begin(), elements.begin(), elements.end());
}

void LocalJobs::queued(const std::vector<std::string>& elements) {
  for (const std::string& element : elements) {
    [[maybe_unused]] const auto noted =
        journal_.over(domain::parse_job(element).deployment_id->str());
  }
}

Result<> LocalJobs::record(const domain::DeploymentId& id, const domain::Stages& stages) {
  if (!owned_.contains(id.str())) {
    return not_ours(id);
  }
  stages_[id.str()] = stages;
  return {};
}

Result<std::string> LocalJobs::times(const domain::DeploymentId& id,
                                     const domain::ServiceId& service) const {
  if (!owned_.contains(id.str())) {
    return not_ours(id);
  }
  const auto found = times_.find(service);
  return found == times_.end() ? std::string() : found->second;
}

Result<> LocalJobs::remember_times(const domain::DeploymentId& id, const domain::ServiceId& service,
                                   const std::string& times) {
  if (!owned_.contains(id.str())) {
    return not_ours(id);
  }
  std::string& remembered = times_[service];
  times_size_ = times_size_ - remembered.size() + times.size();
  remembered = times;
  for (auto other = times_.begin(); times_size_ > k_most_times && other != times_.end();) {
    if (other->first == service) {
      ++other;
      continue;
    }
    times_size_ -= other->second.size();
    other = times_.erase(other);
  }
  return {};
}

Result<Ending> LocalJobs::finish(const domain::DeploymentId& id,
                                 const ports::StatusUpdate& update) {
  if (!owned_.contains(id.str())) {
    const auto out = out_.find(id.str());
    return out != out_.end() && out->second.ours ? Result<Ending>(out->second.ending)
                                                 : Result<Ending>(not_ours(id));
  }
  Ending ending = cancelled_.contains(id.str()) ? verdict(Verdict::cancelled_by_user)
                  : newer_.contains(id.str())   ? verdict(Verdict::superseded)
                                                : Ending{Verdict::as_reported, update};
  BUILDER_TRY(end(id.str(), ending, true));
  disown(id.str());
  return ending;
}

Result<> LocalJobs::settle(const domain::DeploymentId& id, ports::Delivery delivery) {
  const auto out = out_.find(id.str());
  if (out == out_.end() || !out->second.ours) {
    return not_ours(id);
  }
  if (delivery == ports::Delivery::later) {
    out->second.ours = false;
    return {};
  }
  out_.erase(out);
  return journal_.over(id.str());
}

std::optional<ports::Undelivered> LocalJobs::adopt() {
  const auto left =
      std::ranges::find_if(out_, [](const auto& outgoing) { return !outgoing.second.ours; });
  if (left == out_.end()) {
    return std::nullopt;
  }
  left->second.ours = true;
  return ports::Undelivered{receipt(left->first), left->second.ending};
}

std::optional<CancelAnswer> LocalJobs::cancel(const domain::DeploymentId& id) {
  const auto out = out_.find(id.str());
  if (out == out_.end() && ended_.contains(id.str())) {
    return CancelAnswer::late;
  }
  cancelled_.insert(id.str());
  if (out != out_.end()) {
    if (out->second.ending.verdict == Verdict::as_reported) {
      out->second.ending = verdict(Verdict::cancelled_by_user);
      [[maybe_unused]] const auto noted = journal_.ended(id.str(), out->second.ending);
    }
    return CancelAnswer::reporting;
  }
  if (owned_.contains(id.str())) {
    return CancelAnswer::owned;
  }
  const auto removed =
      std::erase_if(waiting_, [&](const auto& one) { return names(one.second, id); }) +
      std::erase_if(ready_, [&](const std::string& element) { return names(element, id); });
  if (removed == 0) {
    return std::nullopt;
  }
  [[maybe_unused]] const auto noted = conclude(id, verdict(Verdict::cancelled_by_user));
  return CancelAnswer::removed;
}

Result<> LocalJobs::conclude(const domain::DeploymentId& id, Ending ending) {
  return end(id.str(), std::move(ending), false);
}

Result<> LocalJobs::end(const std::string& id, Ending ending, bool ours) {
  // In memory even if it cannot be noted: the process that lives on delivers it.
  const auto noted = journal_.ended(id, ending);
  ended_.insert(id);
  stages_.erase(id);
  newer_.erase(id);
  out_[id] = {std::move(ending), ours};
  return ours ? Result<>() : noted;
}

void LocalJobs::disown(const std::string& id) {
  const std::string service = owned_.at(id).service;
  owned_.erase(id);
  if (const auto next = waiting_.find(service); next != waiting_.end()) {
    ready_.push_back(std::move(next->second));
    waiting_.erase(next);
  }
}

ports::Receipt LocalJobs::receipt(const std::string& id) const {
  return {domain::DeploymentId(id), "unsafe", lease_};
}

}  // namespace builder::adapters::redis
