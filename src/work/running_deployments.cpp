#include "work/running_deployments.hpp"

#include <algorithm>

namespace builder::work {

using ports::JobCancellation;
using ports::StopReason;

namespace {

constexpr std::size_t k_most_early_cancels = 100;

}  // namespace

RunningDeployments::Handle RunningDeployments::enter(const domain::DeploymentId& deployment) {
  const std::scoped_lock lock(mutex_);
  entries_.push_back({deployment, std::make_shared<JobCancellation>()});
  if (std::ranges::find(early_cancels_, deployment) != early_cancels_.end()) {
    entries_.back().cancellation->request_stop(StopReason::cancelled_by_user);
  }
  return entries_.back().cancellation;
}

void RunningDeployments::wait_for_turn(const Handle& entry) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    const auto self = std::ranges::find(entries_, entry, &Entry::cancellation);
    return self == entries_.end() || std::none_of(entries_.begin(), self, [&](const Entry& older) {
             return older.deployment == self->deployment;
           });
  });
}

void RunningDeployments::leave(const Handle& entry) {
  {
    const std::scoped_lock lock(mutex_);
    std::erase_if(entries_, [&](const Entry& other) { return other.cancellation == entry; });
  }
  changed_.notify_all();
}

bool RunningDeployments::stop(const domain::DeploymentId& deployment, StopReason reason) {
  const std::scoped_lock lock(mutex_);
  bool found = false;
  for (const Entry& entry : entries_) {
    if (entry.deployment == deployment) {
      entry.cancellation->request_stop(reason);
      found = true;
    }
  }
  if (!found && reason == StopReason::cancelled_by_user) {
    early_cancels_.push_back(deployment);
    if (early_cancels_.size() > k_most_early_cancels) {
      early_cancels_.pop_front();
    }
  }
  return found;
}

void RunningDeployments::stop_all(StopReason reason) {
  const std::scoped_lock lock(mutex_);
  for (const Entry& entry : entries_) {
    entry.cancellation->request_stop(reason);
  }
}

std::optional<domain::DeploymentId> RunningDeployments::newest_if_none_ends() const {
  const std::scoped_lock lock(mutex_);
  const bool ends = std::ranges::any_of(entries_, [](const Entry& entry) {
    return entry.cancellation->reason() != StopReason::none;
  });
  return ends || entries_.empty() ? std::nullopt : std::optional(entries_.back().deployment);
}

std::size_t RunningDeployments::count() const {
  const std::scoped_lock lock(mutex_);
  return entries_.size();
}

bool RunningDeployments::wait_for_fewer_than(std::size_t limit, SteadyTime deadline,
                                             const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, stop, deadline, [&] { return entries_.size() < limit; });
}

}  // namespace builder::work
