#include "pipeline/running_deployments.hpp"

#include <algorithm>

namespace builder::pipeline {

using ports::JobCancellation;
using ports::StopReason;

std::shared_ptr<JobCancellation> RunningDeployments::enter(const domain::DeploymentId& deployment,
                                                           const domain::ServiceId& service) {
  const std::scoped_lock lock(mutex_);
  if (std::ranges::find(entries_, deployment, &Entry::deployment) != entries_.end()) {
    return nullptr;
  }
  for (const Entry& entry : entries_) {
    if (entry.service == service) {
      entry.cancellation->request_stop(StopReason::superseded);
    }
  }
  auto cancellation = std::make_shared<JobCancellation>();
  entries_.push_back({deployment, service, cancellation});
  return cancellation;
}

void RunningDeployments::wait_for_turn(const domain::DeploymentId& deployment) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    const auto self = std::ranges::find(entries_, deployment, &Entry::deployment);
    return self == entries_.end() || std::none_of(entries_.begin(), self, [&](const Entry& older) {
             return older.service == self->service;
           });
  });
}

void RunningDeployments::leave(const domain::DeploymentId& deployment) {
  {
    const std::scoped_lock lock(mutex_);
    std::erase_if(entries_, [&](const Entry& entry) { return entry.deployment == deployment; });
  }
  changed_.notify_all();
}

bool RunningDeployments::stop(const domain::DeploymentId& deployment, StopReason reason) {
  const std::scoped_lock lock(mutex_);
  const auto entry = std::ranges::find(entries_, deployment, &Entry::deployment);
  if (entry == entries_.end()) {
    return false;
  }
  entry->cancellation->request_stop(reason);
  return true;
}

void RunningDeployments::stop_all(StopReason reason) {
  const std::scoped_lock lock(mutex_);
  for (const Entry& entry : entries_) {
    entry.cancellation->request_stop(reason);
  }
}

void RunningDeployments::supersede(const domain::ServiceId& service,
                                   const domain::DeploymentId& newer) {
  const std::scoped_lock lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.service == service && entry.deployment != newer) {
      entry.cancellation->request_stop(StopReason::superseded);
    }
  }
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

}  // namespace builder::pipeline
