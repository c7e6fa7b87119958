#include "work/worker.hpp"

#include "ports/retry_until_answered.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace builder::work {

namespace {

using ports::CancelAnswer;
using ports::StopReason;
using ports::TakenJob;
using Clock = std::chrono::steady_clock;

/// How long one wait for a job lasts.
constexpr std::chrono::milliseconds k_take_patience{2'000};
/// With every slot taken the queue is looked at this often.
constexpr std::chrono::milliseconds k_look_interval{500};
/// How soon it is noticed that jobs can be built again.
constexpr std::chrono::milliseconds k_cannot_build_interval{50};
constexpr std::size_t k_deliveries = 8;
/// How long a registry that answers nothing of use keeps jobs from being taken.
constexpr std::chrono::minutes k_vet_patience{2};
/// Between two builds that are stopped for want of disk: the engine frees what the first had.
constexpr std::chrono::seconds k_shed_interval{10};
/// Builds that filled the disk are remembered, so that none does it for ever.
constexpr std::size_t k_most_shed = 1'000;
/// Strangers may publish any number of cancels.
constexpr std::size_t k_most_unrecorded = 10'000;
constexpr std::chrono::seconds k_refused_pause{30};
constexpr std::chrono::seconds k_unreachable_pause{5};

std::string_view word(CancelAnswer answer) {
  switch (answer) {
    case CancelAnswer::owned:
      return "being built";
    case CancelAnswer::removed:
      return "removed from the queue";
    case CancelAnswer::reporting:
      return "its end was not delivered yet";
    case CancelAnswer::late:
      return "too late";
    case CancelAnswer::noted:
      return "not here";
  }
  return "";
}

/// The first of them, for a line.
std::string names_of(const std::vector<domain::DeploymentId>& ids) {
  constexpr std::size_t k_shown = 20;
  std::string names;
  for (std::size_t i = 0; i < std::min(ids.size(), k_shown); ++i) {
    names += (i == 0 ? "" : ", ") + ids[i].str();
  }
  return ids.size() > k_shown ? names + ", …" : names;
}

}  // namespace

/// One deployment in its slot: passes on what its run says.
class Worker::SlotObserver final : public RunObserver {
 public:
  SlotObserver(Worker& worker, Isolation::Pass& pass, Progress& progress, std::stop_token stop)
      : worker_(worker), pass_(pass), progress_(progress), stop_(std::move(stop)) {}

  SlotObserver(const SlotObserver&) = delete;
  SlotObserver& operator=(const SlotObserver&) = delete;

  ~SlotObserver() override { worker_.resting_ -= rests_ ? 1 : 0; }

  void phase_begins(std::string_view phase) override {
    progress_.begin_phase(phase);
    worker_.queue_.activity_changed();
  }

  void step_begins(std::string name) override { progress_.begin_step(std::move(name)); }

  void source_was_read() override { pass_.cleared(stop_); }

  void rests() override {
    pass_.rest();
    rests_ = true;
    ++worker_.resting_;
  }

 private:
  Worker& worker_;
  Isolation::Pass& pass_;
  Progress& progress_;
  const std::stop_token stop_;
  bool rests_ = false;
};

Worker::Worker(ports::JobQueue& queue, JobRunner& runner, WorkerSettings settings,
               ports::Metrics& metrics, Log log)
    : queue_(queue),
      runner_(runner),
      settings_(std::move(settings)),
      metrics_(metrics),
      log_(std::move(log)) {
}

void Worker::run(const std::stop_token& stop) {
  queue_.join(*this);
  recover(stop);
  outbox_relay_ = std::jthread([this](const std::stop_token& end) { deliver_for_others(end); });
  while (!stop.stop_requested()) {
    reap_slots();
    const auto now = Clock::now();
    if (settings_.must_shed && settings_.must_shed()) {
      shed_newest();
    }
    if (const SteadyTime until = std::max(paused_until(), runner_.faults().until()); until > now) {
      sleep_for(
          std::min(std::chrono::ceil<std::chrono::milliseconds>(until - now), k_look_interval),
          stop);
      continue;
    }
    if (isolation_.is_closed() || (settings_.can_build && !settings_.can_build())) {
      sleep_for(k_cannot_build_interval, stop);
      continue;
    }
    if (!vet(stop)) {
      sleep_for(k_look_interval, stop);
      continue;
    }
    if (running_.wait_for_fewer_than(slots(), now, stop)) {
      take_one(stop);
    } else if (!stop.stop_requested()) {
      look();  // At once: of a burst of one service nothing but the newest needs to be built.
      running_.wait_for_fewer_than(slots(), now + k_look_interval, stop);
    }
  }
}

std::size_t Worker::slots() const {
  return settings_.parallel_builds + resting_ + (settings_.waiting ? settings_.waiting() : 0);
}

void Worker::recover(const std::stop_token& stop) {
  for (LogThrottle trouble; !stop.stop_requested();) {
    const auto count = queue_.recover();
    if (count) {
      if (*count > 0) {
        log_.warning("{} unfinished jobs of an earlier process go back to the queue", *count);
      }
      return;
    }
    if (trouble.is_news(count.error().message)) {
      log_.error("the queue is not reachable: {}", count.error().message);
    }
    sleep_for(k_unreachable_pause, stop);
  }
}

void Worker::shed_newest() {
  const auto newest = running_.newest_if_none_ends();
  if (!newest || Clock::now() < next_shed_) {
    return;
  }
  next_shed_ = Clock::now() + k_shed_interval;
  if (shed_.size() >= k_most_shed) {
    shed_.clear();
  }
  const bool first = shed_.insert(*newest).second;
  log_.error("the disk is nearly full: deployment {} is stopped and {}", newest->str(),
             first ? "goes back to the queue" : "fails, it was stopped for that before");
  running_.stop(*newest, first ? StopReason::host_full : StopReason::host_full_again);
}

/// A Redis that came back with an old state has jobs in its queue that were built long ago, and
/// does not know it. The registry does: it has an image under the name of the deployment.
bool Worker::vet(const std::stop_token& stop) {
  const auto trouble = [&](const Error& error) {
    not_taken(error);
    return false;
  };
  const auto doubtful = queue_.doubtful();
  if (!doubtful) {
    return trouble(doubtful.error());
  }
  if (!*doubtful) {
    return true;
  }
  const BuiltBefore found = runner_.built_before(**doubtful, stop);
  const auto now = Clock::now();
  if (!vet_until_) {
    vet_until_ = now + k_vet_patience;
  }
  if (stop.stop_requested() || (found.trouble && now < *vet_until_)) {
    return found.trouble ? trouble(*found.trouble) : false;
  }
  const auto dropped = queue_.vetted(found.ended);
  if (!dropped) {
    return trouble(dropped.error());
  }
  vet_until_.reset();
  if (*dropped > 0) {
    log_.error(
        "{} queued deployments were built before, the registry has their images: Redis came back "
        "with an old state. They are not built again: {}",
        *dropped, names_of(found.ended));
    for (std::size_t i = 0; i < *dropped; ++i) {
      metrics_.dead_letter("built_before");
    }
  }
  return true;
}

void Worker::not_taken(const Error& error) {
  if (error.kind == ErrorKind::cancelled) {
    return;
  }
  if (take_trouble_.is_news(error.message)) {
    log_.warning("no job could be taken: {}", error.message);
  }
  // Who is away is told by the checks of the peers.
  *take_problem_.lock() = error.is_transient() ? std::string() : error.message;
}

void Worker::take_one(const std::stop_token& stop) {
  auto taken = queue_.take(k_take_patience, stop);
  if (!taken) {
    not_taken(taken.error());
    if (taken.error().kind != ErrorKind::cancelled) {
      sleep_for(k_look_interval, stop);
    }
    return;
  }
  take_trouble_.over();
  take_problem_.lock()->clear();
  if (!*taken) {
    return;
  }
  if ((settings_.can_build && !settings_.can_build()) || runner_.faults().until() > Clock::now()) {
    // It came while we waited for one, and so did the news.
    const ports::Receipt& receipt = (*taken)->receipt;
    if (!run_in_slot([this, receipt] { runner_.requeue(receipt); })) {
      requeue(queue_, receipt, log_.with("deployment", receipt.deployment.str()), stop);
    }
    return;
  }
  handle(**std::move(taken), stop);
}

void Worker::look() {
  const auto queued = queue_.look();
  if (!queued) {
    return;
  }
  std::map<domain::DeploymentId, SteadyTime> seen;
  for (const domain::DeploymentId& id : *queued) {
    const auto known = first_seen_.find(id);
    seen[id] = known == first_seen_.end() ? Clock::now() : known->second;
  }
  first_seen_ = std::move(seen);
}

void Worker::handle(TakenJob job, const std::stop_token& stop) {
  const ports::Receipt receipt = job.receipt;
  const domain::DeploymentId& id = receipt.deployment;
  const auto cancellation = running_.enter(id);
  const auto seen = first_seen_.find(id);
  metrics_.queue_wait(seen == first_seen_.end() ? Clock::duration::zero()
                                                : Clock::now() - seen->second);
  // From here on: before the next job is taken.
  auto pass = std::make_shared<Isolation::Pass>(isolation_, kind_of(job));
  auto progress = std::make_shared<Progress>(id, job.attempt);
  progress_.lock()->push_back(progress);
  const bool runs = run_in_slot([this, cancellation, job = std::move(job), pass = std::move(pass),
                                 progress]() mutable {
    try {
      run_in_turn(job, cancellation, *pass, *progress);
    } catch (const std::exception& error) {
      // The others go on, and the queue is told that this one is not known here any more.
      log_.with("deployment", job.receipt.deployment.str()).error("broke off: {}", error.what());
    }
    pass.reset();
    std::erase(*progress_.lock(), progress);
    running_.leave(cancellation);
  });
  if (!runs) {
    std::erase(*progress_.lock(), progress);
    running_.leave(cancellation);
    // What `stop` leaves unsaid the queue's `leave` says.
    requeue(queue_, receipt, log_.with("deployment", receipt.deployment.str()), stop);
  }
}

void Worker::run_in_turn(const TakenJob& job, const RunningDeployments::Handle& cancellation,
                         Isolation::Pass& pass, Progress& progress) {
  queue_.activity_changed();
  metrics_.build_started();
  const auto began = Clock::now();
  running_.wait_for_turn(cancellation);
  pass.begin(cancellation->token());
  SlotObserver observer(*this, pass, progress, cancellation->token());
  const EndedRun ended = run_job(job, *cancellation, observer);
  metrics_.build_finished(to_string(ended.outcome));
  if (settings_.built && (ended.outcome == Outcome::builded || ended.outcome == Outcome::failed)) {
    settings_.built(Clock::now() - began);
  }
  settle(job, cancellation->reason(), ended);
  if (ended.leftovers) {
    runner_.clean_up(*ended.leftovers);
  }
}

Isolation::Kind Worker::kind_of(const TakenJob& job) {
  if (job.attempt == 1) {
    return Isolation::Kind::ordinary;
  }
  return job.attempt < domain::k_most_attempts ? Isolation::Kind::suspect : Isolation::Kind::last;
}

EndedRun Worker::run_job(const TakenJob& job, ports::JobCancellation& cancellation,
                         RunObserver& observer) {
  if (cancellation.reason() == StopReason::shutdown ||
      cancellation.reason() == StopReason::host_full) {
    return {.outcome = Outcome::requeued};
  }
  domain::ParsedJob parsed = domain::parse_job(job.payload);
  if (parsed.request && parsed.deployment_id != job.receipt.deployment) {
    parsed.request = failure(ErrorKind::invalid_input, "the job names two deployments");
  }
  if (!parsed.request) {
    metrics_.malformed_job();
    return {.outcome = runner_.reject(job.receipt, parsed.request.error(), cancellation)};
  }
  return runner_.run(*parsed.request, job, cancellation, observer);
}

void Worker::settle(const TakenJob& job, StopReason reason, const EndedRun& ended) {
  // No fault of the platform's API; the disk itself says when jobs are taken again.
  if (!ended.no_thread.empty()) {
    pause(settings_.no_thread_pause, ended.no_thread);
  } else if (reason != StopReason::host_full) {
    pause_after(ended.outcome);
  }
  if (fate_of(ended.outcome) == report::Fate::goes_back) {
    runner_.requeue(job.receipt);
  }
}

void Worker::deliver_for_others(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(outbox_mutex_);
      outbox_changed_.wait_for(lock, stop, settings_.outbox_interval,
                               [this] { return outbox_filled_; });
      outbox_filled_ = false;
    }
    record_old_cancels();
    while (!stop.stop_requested() && paused_until() <= Clock::now() &&
           delivering_.wait_for_fewer_than(k_deliveries, SteadyTime::max(), stop)) {
      const auto adopted = queue_.adopt();
      if (!adopted || !*adopted) {
        break;
      }
      deliver(**adopted, stop);
    }
  }
}

void Worker::deliver(const ports::Undelivered& undelivered, const std::stop_token& stop) {
  const auto cancellation = delivering_.enter(undelivered.receipt.deployment);
  // On a thread of its own: a slow API must not hold up the others.
  const bool runs = run_in_slot([this, cancellation, undelivered] {
    pause_after(runner_.deliver(undelivered, *cancellation));
    delivering_.leave(cancellation);
  });
  if (!runs) {
    delivering_.leave(cancellation);
    const ports::Receipt& receipt = undelivered.receipt;
    leave_to_others(queue_, receipt, log_.with("deployment", receipt.deployment.str()), stop);
  }
}

void Worker::must_stop(const domain::DeploymentId& deployment, StopReason reason) {
  running_.stop(deployment, reason);
  delivering_.stop(deployment, reason);
}

void Worker::outbox_filled() {
  {
    const std::scoped_lock lock(outbox_mutex_);
    outbox_filled_ = true;
  }
  outbox_changed_.notify_all();
}

void Worker::malformed_element() {
  metrics_.malformed_job();
}

void Worker::given_up(const domain::DeploymentId& deployment) {
  metrics_.dead_letter("undelivered");
  log_.error("dead letter: the status of deployment {} could not be delivered for days",
             deployment.str());
}

ports::WorkerActivity Worker::activity() const {
  ports::WorkerActivity activity{
      .age = std::chrono::floor<std::chrono::seconds>(Clock::now() - started_), .running = {}};
  auto all = progress_.lock();  // For the whole loop, which a temporary would not last.
  for (const auto& progress : *all) {
    activity.running.push_back(progress->now());
  }
  return activity;
}

void Worker::on_cancel(const domain::DeploymentId& deployment) {
  // At once what is ours; recorded in any case, for the other workers and for later.
  must_stop(deployment, StopReason::cancelled_by_user);
  if (record_cancel(deployment)) {
    return;
  }
  const std::scoped_lock lock(outbox_mutex_);
  if (unrecorded_cancels_.size() < k_most_unrecorded) {
    unrecorded_cancels_.insert(deployment);
  }
}

void Worker::record_old_cancels() {
  std::set<domain::DeploymentId> cancels;
  {
    const std::scoped_lock lock(outbox_mutex_);
    cancels = unrecorded_cancels_;
  }
  for (const domain::DeploymentId& deployment : cancels) {
    if (!record_cancel(deployment)) {
      return;
    }
    const std::scoped_lock lock(outbox_mutex_);
    unrecorded_cancels_.erase(deployment);
  }
}

bool Worker::record_cancel(const domain::DeploymentId& deployment) {
  const auto answer = queue_.cancel(deployment);
  if (!answer) {
    log_.error("cancel of {} could not be recorded yet: {}", deployment.str(),
               answer.error().message);
    return false;
  }
  log_.info("cancel of {} ({})", deployment.str(), word(*answer));
  // Again: a job that was taken in between was not here to be told.
  if (*answer == CancelAnswer::owned || *answer == CancelAnswer::reporting) {
    must_stop(deployment, StopReason::cancelled_by_user);
  } else if (*answer == CancelAnswer::removed) {
    outbox_filled();
  }
  return true;
}

void Worker::pause_after(Outcome outcome) {
  if (outcome != Outcome::refused && outcome != Outcome::requeued) {
    return;
  }
  const bool refused = outcome == Outcome::refused;
  pause(refused ? k_refused_pause : k_unreachable_pause,
        refused ? "the platform's API refuses the API key (API_KEY)"
                : "the platform's API could not be reached");
}

void Worker::pause(std::chrono::milliseconds length, std::string reason) {
  const std::scoped_lock lock(pause_mutex_);
  paused_until_ = Clock::now() + length;
  pause_reason_ = std::move(reason);
}

SteadyTime Worker::paused_until() const {
  const std::scoped_lock lock(pause_mutex_);
  return paused_until_;
}

std::string Worker::paused_because() const {
  const std::scoped_lock lock(pause_mutex_);
  return Clock::now() < paused_until_ ? pause_reason_ : std::string();
}

std::string Worker::take_problem() const {
  return *take_problem_.lock();
}

bool Worker::run_in_slot(std::function<void()> body) {
  const std::scoped_lock lock(slots_mutex_);
  Slot& slot = slots_.emplace_back();
  try {
    slot.thread = std::jthread([&slot, body = std::move(body)] {
      body();
      slot.done = true;
    });
  } catch (const std::system_error& error) {
    slots_.pop_back();
    const std::string trouble = std::string("no thread could be made: ") + error.what();
    if (thread_trouble_.is_news(trouble)) {
      log_.error("{}", trouble);
    }
    pause(settings_.no_thread_pause, trouble);
    return false;
  }
  thread_trouble_.over();
  return true;
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
  outbox_relay_ = {};  // Ends it; what it has begun to deliver is left to others.
  abort.request_stop();
  delivering_.stop_all(StopReason::shutdown);  // Behind `abort`: nothing is begun anew.
  std::list<Slot> last;
  {
    const std::scoped_lock lock(slots_mutex_);
    last.swap(slots_);
  }
  last.clear();  // Joins them.
  queue_.leave();
}

}  // namespace builder::work
