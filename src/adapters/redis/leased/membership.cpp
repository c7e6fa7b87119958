#include "adapters/redis/leased/membership.hpp"

#include "adapters/redis/client/server_info.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "adapters/redis/leased/worker_entry.hpp"
#include "base/backoff.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace builder::adapters::redis {

namespace {

using ports::StopReason;
using Clock = std::chrono::steady_clock;

constexpr BackoffPolicy k_rejoin{.base = std::chrono::milliseconds(100),
                                 .cap = std::chrono::milliseconds(1'000)};
/// A refusal is mended by a person.
constexpr std::chrono::milliseconds k_refused_pause{5'000};
constexpr std::chrono::hours k_eviction_interval{1};
/// How soon it is noticed that it was mended.
constexpr std::chrono::seconds k_bad_eviction_interval{10};
/// What Redis lost at a start this long ago is still news.
constexpr std::chrono::minutes k_young{10};
constexpr int k_beats_per_lease = 6;
constexpr int k_most_silent_beats = k_beats_per_lease;
constexpr std::chrono::milliseconds k_stop_interval{250};

}  // namespace

Membership::Membership(RedisConfig config, const QueueSettings& settings, Log log)
    : config_(std::move(config)),
      settings_(settings),
      log_(std::move(log)),
      beat_(scripts::k_beat, config_.queue),
      requeue_(scripts::k_requeue, config_.queue),
      reap_(scripts::k_reap, config_.queue),
      running_(scripts::k_running, config_.queue),
      settle_(scripts::k_settle, config_.queue),
      problem_{.kind = ErrorKind::unavailable, .message = "not connected to Redis yet"} {
}

Membership::~Membership() = default;

void Membership::join(ports::QueueListener& listener) {
  listener_ = &listener;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Membership::leave() {
  thread_ = {};  // Ends it.
  std::shared_ptr<RenewedLease> lease;
  {
    const std::scoped_lock lock(mutex_);
    lease = std::exchange(lease_, nullptr);
  }
  if (!lease) {
    return;
  }
  lease->lose();
  if (!connection_ || !connection_->usable()) {
    if (auto opened = Connection::open(config_, "deployra-builder-lease", {})) {
      connection_ = *std::move(opened);
    } else {
      log_.warning("left without a word, others wait for the lease to end: {}",
                   opened.error().message);
      return;
    }
  }
  if (const auto retired = reap_.run(*connection_, {lease->id()}); !retired) {
    log_.warning("others have to wait for our lease to end: {}", retired.error().message);
  }
}

void Membership::run(const std::stop_token& stop) {
  auto random = make_random();
  const auto pace = settings_.lease / k_beats_per_lease;
  for (int failures = 0; !stop.stop_requested();) {
    auto done = beat(stop);
    if (done) {
      done = retire_silent(stop);
    }
    std::chrono::milliseconds pause = pace;
    if (done) {
      failures = 0;
      ever_beat_ = true;
      trouble_.over();
    } else if (!stop.stop_requested()) {
      {
        const std::scoped_lock lock(mutex_);
        problem_ = done.error();
        refused_ = done.error().kind == ErrorKind::denied;
      }
      // Before the first one it is no news: the service has never been ready.
      if (ever_beat_ && trouble_.is_news(done.error().message)) {
        log_.warning("the lease cannot be renewed: {}", done.error().message);
      }
      pause = done.error().is_transient()
                  ? next_delay(k_rejoin, failures, std::nullopt, random)
                  : std::min<std::chrono::milliseconds>(k_refused_pause, pace);
      ++failures;
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, pause, [this] { return hurry_; });
    hurry_ = false;
  }
}

Result<> Membership::beat(const std::stop_token& stop) {
  if (!connection_ || !connection_->usable()) {
    BUILDER_TRY_ASSIGN(connection_, Connection::open(config_, "deployra-builder-lease", stop));
    must_probe_ = true;
  }
  std::shared_ptr<RenewedLease> lease;
  {
    const std::scoped_lock lock(mutex_);
    lease = lease_;
  }
  const bool joins = lease == nullptr;
  // Until it has succeeded nothing is joined and no job is taken. What runs may not need the right
  // that is missing: its lease is kept.
  Result<> allowed;
  if (must_probe_.exchange(false)) {
    allowed = probe(stop);
  }
  if (!allowed) {
    must_probe_ = true;
    if (joins || allowed.error().kind != ErrorKind::denied) {
      return allowed;
    }
  }
  if (joins) {
    lease = std::make_shared<RenewedLease>(random_hex(16), settings_.lease);
    settings_.remember_lease(lease->id());
  }
  const ports::WorkerActivity activity = listener_->activity();
  // A beat that only extends the lease is a single write: it survives the restart of a Redis that
  // loses what scripts write with several commands (7.0 with `user default off`).
  const bool tells = !joins && (++silent_beats_ >= k_most_silent_beats || activity != told_);
  const auto started = RenewedLease::now();
  std::vector<std::string> arguments{lease->id(),
                                     std::to_string(settings_.lease.count()),
                                     joins ? "1" : "0",
                                     tells ? write_worker(settings_.identity, activity) : "",
                                     settings_.identity.host,
                                     settings_.identity.process()};
  const std::set<std::string> ids = held(lease->id());
  arguments.insert(arguments.end(), ids.begin(), ids.end());
  const unsigned told_pauses = [this] {
    const std::scoped_lock lock(mutex_);
    return told_pauses_;
  }();
  auto beaten = beat_.run(*connection_, arguments, stop);
  if (!beaten && beaten.error().kind == ErrorKind::denied) {
    BUILDER_TRY(probe(stop));  // Which knows what to advise.
  }
  BUILDER_TRY_ASSIGN(const Reply reply, std::move(beaten));
  if (!reply.list.empty() && reply.list[0].text == "LOST") {
    if (lease->holds()) {
      look_at_restart(stop);
    }
    lose(lease);
    return beat(stop);
  }
  if (reply.list.size() != 5) {
    return failure(ErrorKind::internal, "redis: a beat has no answer");
  }
  if (tells) {
    told_ = activity;
    silent_beats_ = 0;
  }
  lease->renew(started);
  if (joins) {
    log_.info("joined the queue as {}", lease->id());
    silent_beats_ = k_most_silent_beats;
    hurry();
  }
  {
    const std::scoped_lock lock(mutex_);
    lease_ = lease;
    refused_ = !allowed;
    if (told_pauses == told_pauses_) {
      pause_ = reply.list[4].text;
    }
  }
  changed_.notify_all();
  tell(reply.list[1]);
  BUILDER_TRY(say_what_runs(stop));
  if (old_state_seen_.exchange(false)) {
    look_at_restart(stop);
  }
  if (!reply.list[2].list.empty()) {
    BUILDER_TRY(return_strays(lease->id(), reply.list[2], stop));
  }
  watch_clock(started, std::chrono::milliseconds(reply.list[3].integer));
  if (Clock::now() >= next_eviction_look_) {
    look_at_eviction(stop);
    next_eviction_look_ =
        Clock::now() +
        (warning().empty() ? std::chrono::seconds(k_eviction_interval) : k_bad_eviction_interval);
  }
  return allowed;
}

/// What runs here and is unknown in Redis must not look as if it had ended.
Result<> Membership::say_what_runs(const std::stop_token& stop) {
  std::vector<std::string> ids;
  {
    const std::scoped_lock lock(mutex_);
    ids.assign(unknown_there_.begin(), unknown_there_.end());
  }
  if (ids.empty()) {
    return {};
  }
  BUILDER_TRY(running_.run(*connection_, ids, stop));
  const std::scoped_lock lock(mutex_);
  for (const std::string& id : ids) {
    unknown_there_.erase(id);
  }
  return {};
}

/// What is ours in Redis and unknown here: the answer that gave it to us was lost.
Result<> Membership::return_strays(const std::string& lease_id, const Reply& ids,
                                   const std::stop_token& stop) {
  const std::unique_lock handover(handover_, std::try_to_lock);
  if (!handover) {
    return {};  // Such an answer may be on its way just now; another beat follows.
  }
  const std::set<std::string> known = held(lease_id);
  for (const Reply& id : ids.list) {
    if (known.contains(id.text)) {
      continue;
    }
    log_.warning("deployment {} became ours without our knowing; it is given back", id.text);
    BUILDER_TRY_ASSIGN(const Reply given, requeue_.run(*connection_, {lease_id, id.text}, stop));
    if (given.list.empty() || given.list[0].text != "OK") {
      BUILDER_TRY(settle_.run(*connection_, {lease_id, id.text, "later"}, stop));
      listener_->outbox_filled();
    }
  }
  return {};
}

Result<> Membership::probe(const std::stop_token& stop) {
  BUILDER_TRY_ASSIGN(const ServerRights rights, try_rights(*connection_, config_, stop));
  const Level found = rights.level;
  if (level_.exchange(found) != found) {
    if (found == Level::a) {
      log_.info("queue guarantee A: jobs move by atomic scripts, waiting by BLMOVE");
    } else {
      log_.warning(
          "queue guarantee B: jobs move by atomic scripts; without BLMOVE ({}) the queue "
          "is polled",
          rights.no_blmove);
    }
  }
  return {};
}

void Membership::look_at_eviction(const std::stop_token& stop) {
  const auto info = connection_->call({"INFO", "memory"}, stop);
  if (!info) {
    log_.debug("the eviction policy is not known: {}", info.error().message);
    return;
  }
  const std::string found = eviction_risk(info->text);
  if (found != warning()) {
    found.empty() ? log_.info("Redis no longer evicts the queue") : log_.error("{}", found);
    const std::scoped_lock lock(mutex_);
    warning_ = found;
  }
}

/// Redis does not know what was ours, or gave what was taken before. If it was started a moment
/// ago, that is why: it came back without what it had been told.
void Membership::look_at_restart(const std::stop_token& stop) {
  const ServerStart start = server_start(*connection_, stop);
  if (start.run_id.empty() || start.run_id == forgetful_run_ || start.uptime > k_young) {
    return;
  }
  forgetful_run_ = start.run_id;
  log_.error(
      "Redis was started {} s ago and came back without what was written before: deployments that "
      "were taken may be in the queue again. Check that it has appendonly on; if its default user "
      "is off, give that user all rights and leave it off (user default off ~* &* +@all), or Redis "
      "drops what scripts wrote (redis/redis#14541)",
      start.uptime.count());
}

/// Redis ends leases by its clock. When that was set forward, or another server with another clock
/// took over, all leases look as if they were over; those of the living are renewed soon.
void Membership::watch_clock(std::chrono::nanoseconds beat_started,
                             std::chrono::milliseconds redis_time) {
  if (last_started_) {
    // From before the last question until behind this answer: no more can have passed there.
    const auto passed = RenewedLease::now() - *last_started_;
    const auto ahead = redis_time - redis_time_ - passed;
    if (ahead > settings_.lease / k_beats_per_lease) {
      log_.warning("the clock of Redis went ahead by {} s; no lease is ended for a while",
                   std::chrono::round<std::chrono::seconds>(ahead).count());
      retire_from_ = Clock::now() + settings_.lease;
    }
  }
  last_started_ = beat_started;
  redis_time_ = redis_time;
}

Result<> Membership::retire_silent(const std::stop_token& stop) {
  if (Clock::now() < retire_from_) {
    return {};
  }
  BUILDER_TRY_ASSIGN(const Reply reply, reap_.run(*connection_, {}, stop));
  if (reply.list.size() == 2 && reply.list[0].integer > 0) {
    log_.warning("{} silent workers lost their leases; {} jobs went back to the queue",
                 reply.list[0].integer, reply.list[1].integer);
    listener_->outbox_filled();
  }
  return {};
}

void Membership::lose(const std::shared_ptr<RenewedLease>& lease) {
  log_.error("the lease {} was taken away; what runs under it is stopped", lease->id());
  lease->lose();
  std::set<std::string> ids = held(lease->id());
  {
    const std::scoped_lock lock(mutex_);
    lease_ = nullptr;
    unknown_there_.insert(ids.begin(), ids.end());
  }
  for (const std::string& id : ids) {
    listener_->must_stop(domain::DeploymentId(id), StopReason::lost_lease);
  }
}

std::shared_ptr<const RenewedLease> Membership::lease(SteadyTime deadline,
                                                      const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto usable = [this] { return !refused_ && lease_ && lease_->holds(); };
  return changed_.wait_until(lock, stop, deadline, usable) ? lease_ : nullptr;
}

void Membership::hurry() {
  {
    const std::scoped_lock lock(mutex_);
    hurry_ = true;
  }
  changed_.notify_all();
}

void Membership::old_state_seen() {
  old_state_seen_ = true;
  hurry();
}

void Membership::rights_changed() {
  must_probe_ = true;
  hurry();
}

std::unique_lock<std::timed_mutex> Membership::handover(const std::stop_token& stop) {
  // Whoever has it may be waiting for a Redis that hangs.
  std::unique_lock lock(handover_, std::defer_lock);
  while (!lock.try_lock_for(k_stop_interval) && !stop.stop_requested()) {
  }
  return lock;
}

void Membership::hold(const std::string& lease_id, const domain::DeploymentId& deployment) {
  const std::scoped_lock lock(mutex_);
  held_.emplace(lease_id, deployment.str());
}

void Membership::release(const std::string& lease_id, const domain::DeploymentId& deployment) {
  const std::scoped_lock lock(mutex_);
  held_.erase({lease_id, deployment.str()});
}

std::set<std::string> Membership::held(const std::string& lease_id) const {
  const std::scoped_lock lock(mutex_);
  std::set<std::string> ids;
  for (const auto& [owner, id] : held_) {
    if (owner == lease_id) {
      ids.insert(id);
    }
  }
  return ids;
}

void Membership::tell(const Reply& marks) {
  for (std::size_t i = 0; i + 1 < marks.list.size(); i += 2) {
    const std::string& why = marks.list[i + 1].text;
    if (why == "gone") {
      old_state_seen_ = true;
      const std::scoped_lock lock(mutex_);
      unknown_there_.insert(marks.list[i].text);
      log_.warning("Redis does not know any more that deployment {} is ours", marks.list[i].text);
    }
    listener_->must_stop(domain::DeploymentId(marks.list[i].text),
                         why == "user"   ? StopReason::cancelled_by_user
                         : why == "gone" ? StopReason::lost_lease
                                         : StopReason::superseded);
  }
}

Level Membership::level() const {
  const std::scoped_lock lock(mutex_);
  return refused_ ? Level::refused : level_.load();
}

std::string Membership::warning() const {
  const std::scoped_lock lock(mutex_);
  return warning_;
}

void Membership::set_pause(const std::string& entry) {
  const std::scoped_lock lock(mutex_);
  pause_ = entry;
  ++told_pauses_;
}

std::optional<ports::Pause> Membership::pause() const {
  const std::scoped_lock lock(mutex_);
  return pause_.empty() ? std::nullopt : std::optional(read_pause(pause_));
}

Error Membership::problem() const {
  const std::scoped_lock lock(mutex_);
  return problem_;
}

}  // namespace builder::adapters::redis
