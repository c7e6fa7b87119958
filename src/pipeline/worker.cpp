#include "pipeline/worker.hpp"

#include <algorithm>
#include <utility>

namespace builder::pipeline {

namespace {

using ports::StopReason;
using ports::TakenJob;
using Clock = std::chrono::steady_clock;

/// How long one wait for a job lasts; short enough to notice a newer job of a running service.
constexpr std::chrono::milliseconds k_take_patience{2'000};
/// With every slot taken the queue is looked at this often.
constexpr std::chrono::milliseconds k_look_interval{500};
/// How far into the queue newer jobs of running services are looked for.
constexpr std::size_t k_look_ahead = 1'000;
/// How soon it is noticed that jobs can be built again.
constexpr std::chrono::milliseconds k_cannot_build_interval{50};
constexpr std::chrono::seconds k_refused_pause{30};
constexpr std::chrono::seconds k_unreachable_pause{5};

}  // namespace

Worker::Worker(ports::JobQueue& queue, JobRunner& runner, WorkerSettings settings, Metrics& metrics,
               Log log)
    : queue_(queue), runner_(runner), settings_(settings), metrics_(metrics), log_(std::move(log)) {
}

void Worker::run(const std::stop_token& stop) {
  recover(stop);
  while (!stop.stop_requested()) {
    reap_slots();
    SteadyTime paused_until;
    {
      const std::scoped_lock lock(pause_mutex_);
      paused_until = paused_until_;
    }
    const auto now = Clock::now();
    if (paused_until > now) {
      sleep_for(std::chrono::ceil<std::chrono::milliseconds>(paused_until - now), stop);
      continue;
    }
    if (settings_.can_build && !settings_.can_build()) {
      sleep_for(k_cannot_build_interval, stop);
      continue;
    }
    if (running_.wait_for_fewer_than(settings_.parallel_builds, now + k_look_interval, stop)) {
      take_one(stop);
    }
    if (!stop.stop_requested() && running_.count() > 0) {
      look_for_newer();
    }
  }
}

void Worker::recover(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto count = queue_.recover();
    if (count) {
      if (*count > 0) {
        log_.warning("{} unfinished jobs of an earlier run go back to the queue", *count);
      }
      return;
    }
    log_.error("the queue is not reachable: {}", count.error().message);
    sleep_for(k_unreachable_pause, stop);
  }
}

void Worker::take_one(const std::stop_token& stop) {
  auto taken = queue_.take(k_take_patience, stop);
  if (!taken) {
    if (taken.error().kind != ErrorKind::cancelled) {
      log_.warning("no job could be taken: {}", taken.error().message);
      sleep_for(k_look_interval, stop);
    }
    return;
  }
  if (*taken) {
    handle(**std::move(taken));
  }
}

void Worker::look_for_newer() {
  const auto queued = queue_.peek(k_look_ahead);
  if (!queued) {
    return;
  }
  std::map<domain::DeploymentId, SteadyTime> seen;
  for (const std::string& payload : *queued) {
    const domain::ParsedJob job = domain::parse_job(payload);
    if (job.deployment_id) {
      const auto known = first_seen_.find(*job.deployment_id);
      seen[*job.deployment_id] = known == first_seen_.end() ? Clock::now() : known->second;
    }
    if (job.deployment_id && job.service_id) {
      running_.supersede(*job.service_id, *job.deployment_id);
    }
  }
  first_seen_ = std::move(seen);
}

void Worker::handle(TakenJob job) {
  domain::ParsedJob parsed = domain::parse_job(job.payload);
  if (!parsed.deployment_id) {
    // Nobody to report to: the platform would not know which deployment is meant.
    log_.error("a queue element of {} bytes is no job and was dropped: {}", job.payload.size(),
               parsed.request ? "" : parsed.request.error().message);
    metrics_.malformed_job();
    forget(job);
    return;
  }
  const domain::DeploymentId id = *parsed.deployment_id;
  const auto cancellation =
      running_.enter(id, parsed.service_id.value_or(domain::ServiceId(id.str())));
  if (cancellation == nullptr) {
    log_.warning("deployment {} is under way already; its second job was dropped", id.str());
    forget(job);
    return;
  }
  const auto seen = first_seen_.find(id);
  metrics_.queue_wait(seen == first_seen_.end() ? Clock::duration::zero()
                                                : Clock::now() - seen->second);
  run_in_slot([this, id, cancellation, job = std::move(job), parsed = std::move(parsed)] {
    metrics_.build_started();
    running_.wait_for_turn(id);
    if (parsed.request) {
      run_job(job, *parsed.request, *cancellation);
    } else {
      metrics_.malformed_job();
      settle(id, job, runner_.reject(id, parsed.request.error()));
    }
    running_.leave(id);
  });
}

void Worker::run_job(const TakenJob& job, const domain::DeploymentRequest& request,
                     ports::JobCancellation& cancellation) {
  if (cancellation.reason() == StopReason::shutdown) {
    settle(request.deployment_id, job, Outcome::given_back);
    return;
  }
  const auto cancelled = queue_.is_cancelled(request.deployment_id);
  if (cancelled && *cancelled) {
    cancellation.request_stop(StopReason::cancelled_by_user);
  }
  if (cancellation.reason() != StopReason::none) {
    settle(request.deployment_id, job,
           runner_.cancel(request.deployment_id, cancellation.reason()));
    return;
  }
  runner_.run(request, cancellation,
              [&](Outcome outcome) { settle(request.deployment_id, job, outcome); });
}

void Worker::forget(const TakenJob& job) {
  if (const auto finished = queue_.finish(job); !finished) {
    log_.error("a job could not be finished: {}", finished.error().message);
  }
}

void Worker::settle(const domain::DeploymentId& id, const TakenJob& job, Outcome outcome) {
  metrics_.build_finished(to_string(outcome));
  if (outcome == Outcome::refused) {
    pause(k_refused_pause, "the platform's API refuses the API key (API_KEY)");
  } else if (outcome == Outcome::given_back) {
    pause(k_unreachable_pause, "the platform's API could not be reached");
  } else {
    forget(job);
    return;
  }
  // Before the job is in the queue again: whoever takes it must not find it still running.
  running_.leave(id);
  if (const auto given = queue_.give_back(job); !given) {
    // The job stays in our own list and is given back at the next start.
    log_.error("a job could not be given back: {}", given.error().message);
  }
}

void Worker::on_cancel(const domain::DeploymentId& deployment) {
  bool running = running_.stop(deployment, StopReason::cancelled_by_user);
  // Remembered in any case: the job may be on its way from the queue to us, or come back after a
  // crash.
  const auto mark = queue_.mark_cancelled(deployment);
  if (!mark) {
    log_.error("cancel of {} could not be recorded: {}", deployment.str(), mark.error().message);
    return;
  }
  // Again: a job that was entered in between looked for the mark before it was there, perhaps.
  running = running_.stop(deployment, StopReason::cancelled_by_user) || running;
  const bool queued = *mark == ports::CancelMark::was_queued;
  log_.info("cancel of {} ({})", deployment.str(),
            running  ? "running"
            : queued ? "queued"
                     : "not here");
  if (queued && !running) {
    // On a thread of its own: a slow API must not hold up the next cancel.
    run_in_slot([this, deployment] { runner_.cancel(deployment, StopReason::cancelled_by_user); });
  }
}

void Worker::pause(std::chrono::seconds duration, std::string reason) {
  const std::scoped_lock lock(pause_mutex_);
  paused_until_ = Clock::now() + duration;
  pause_reason_ = std::move(reason);
}

std::string Worker::paused_because() const {
  const std::scoped_lock lock(pause_mutex_);
  return Clock::now() < paused_until_ ? pause_reason_ : std::string();
}

void Worker::run_in_slot(std::function<void()> body) {
  const std::scoped_lock lock(slots_mutex_);
  Slot& slot = slots_.emplace_back();
  slot.thread = std::jthread([&slot, body = std::move(body)] {
    body();
    slot.done = true;
  });
}

void Worker::reap_slots() {
  const std::scoped_lock lock(slots_mutex_);
  slots_.remove_if([](const Slot& slot) { return slot.done.load(); });
}

void Worker::drain(const std::stop_token& hurry, std::stop_source& abort) {
  if (running_.count() > 0) {
    log_.info("waiting up to {} s for {} running builds", settings_.drain_timeout.count(),
              running_.count());
  }
  const auto deadline = Clock::now() + settings_.drain_timeout;
  if (!running_.wait_for_fewer_than(1, deadline, hurry)) {
    log_.warning("{} builds go back to the queue", running_.count());
  }
  running_.stop_all(StopReason::shutdown);
  abort.request_stop();
  std::list<Slot> last;
  {
    const std::scoped_lock lock(slots_mutex_);
    last.swap(slots_);
  }
  last.clear();  // Joins them.
}

}  // namespace builder::pipeline
