#include "pipeline/deployment_channel.hpp"

#include "base/backoff.hpp"
#include "base/stop.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace builder::pipeline {

namespace {

using domain::LogType;
using Clock = std::chrono::steady_clock;

constexpr BackoffPolicy k_api_backoff{.base = std::chrono::milliseconds(250),
                                      .cap = std::chrono::milliseconds(15'000)};

bool is_final(ports::DeploymentStatus status) {
  return status != ports::DeploymentStatus::building;
}

std::string_view lines(std::uint64_t count) {
  return count == 1 ? "line" : "lines";
}

}  // namespace

DeploymentChannel::DeploymentChannel(ports::DeploymentReporter& reporter,
                                     domain::DeploymentId deployment,
                                     std::shared_ptr<const ports::Lease> lease,
                                     ChannelLimits limits, Metrics& metrics, Log log)
    : reporter_(reporter),
      deployment_(std::move(deployment)),
      lease_(std::move(lease)),
      limits_(std::move(limits)),
      metrics_(metrics),
      log_(std::move(log)),
      backlog_(limits_.backlog, limits_.post_bytes),
      sender_([this](const std::stop_token& abort) { run(abort); }) {
}

DeploymentChannel::~DeploymentChannel() {
  close();
}

void DeploymentChannel::close() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  sender_.request_stop();
  changed_.notify_all();
  answered_.notify_all();
}

void DeploymentChannel::append(LogType type, std::string_view line) {
  const std::scoped_lock lock(mutex_);
  if (closed_) {
    return;
  }
  // Only the first line after a pause and a full batch wake the sender: a busy one looks by itself.
  const bool was_full = backlog_.waiting() >= limits_.post_bytes;
  const bool was_empty = backlog_.empty();
  // The platform refuses an empty text; a space shows as the empty line it is.
  backlog_.push(type, line.empty() ? " " : line);
  const bool has_begun = was_empty && !backlog_.empty();  // Beyond its limit a log is kept back.
  if (has_begun || (!was_full && backlog_.waiting() >= limits_.post_bytes)) {
    changed_.notify_one();
  }
}

void DeploymentChannel::note_lost_output() {
  const std::scoped_lock lock(mutex_);
  output_lost_ = true;
}

Result<ports::StatusAnswer> DeploymentChannel::status(const ports::StatusUpdate& update,
                                                      const std::stop_token& stop,
                                                      SteadyTime deadline) {
  // Ends what a log post in front of it waits for, too: the lease, and the pause after a failure.
  const std::stop_callback<std::function<void()>> wake(stop, [this] {
    const std::scoped_lock lock(mutex_);
    lease_wait_.request_stop();
    changed_.notify_all();
  });
  Lock lock(mutex_);
  PendingStatus pending{.update = &update,
                        .stop = stop,
                        .deadline = deadline,
                        .final = is_final(update.status),
                        .cancelled = update.status == ports::DeploymentStatus::cancelled,
                        .answer = std::nullopt};
  answered_.wait(lock, [this] { return closed_ || pending_ == nullptr; });
  if (closed_) {
    return failure(ErrorKind::cancelled, "the deployment's channel is closed");
  }
  if (pending.final) {
    backlog_.finish();
    flush_until_ =
        Clock::now() + (pending.cancelled ? std::min(limits_.cancel_flush, limits_.final_flush)
                                          : limits_.final_flush);
  }
  pending_ = &pending;
  if (stop.stop_requested()) {
    lease_wait_.request_stop();  // A post may have begun to wait after `wake` was called.
  }
  changed_.notify_one();
  answered_.wait(lock, [&] { return pending.answer.has_value(); });
  return *std::move(pending.answer);
}

void DeploymentChannel::run(const std::stop_token& abort) {
  Lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, abort, [this] { return closed_ || pending_ != nullptr || has_lines(); });
    if (abort.stop_requested() || closed_) {
      break;
    }
    if (!log_goes_first()) {
      PendingStatus& pending = *pending_;
      lock.unlock();
      auto answer = send_status(pending, abort);
      lock.lock();
      pending.answer = std::move(answer);
      pending_ = nullptr;
      answered_.notify_all();
      continue;
    }
    if (pending_ != nullptr && pending_->final && Clock::now() >= flush_until_) {
      cut_log();
      continue;
    }
    linger(lock, abort);
    send_log(lock, abort);
  }
  if (pending_ != nullptr) {
    pending_->answer = failure(ErrorKind::cancelled, "the deployment's channel is closed");
    pending_ = nullptr;
  }
  drop_log();
  answered_.notify_all();
}

bool DeploymentChannel::log_goes_first() const {
  if (pending_ == nullptr) {
    return true;
  }
  // A first BUILDING is not held up by a log that cannot be sent: its answer decides whether the
  // build goes on at all.
  if (pending_->stop.stop_requested() || Clock::now() > pending_->deadline) {
    return false;
  }
  return pending_->final ? !cut_ && has_words() : has_lines();
}

/// Nothing urgent: lets lines gather, so that a chatty build does not make a row per line.
void DeploymentChannel::linger(Lock& lock, const std::stop_token& abort) {
  const auto is_due = [this] {
    return closed_ || pending_ != nullptr || backlog_.waiting() >= limits_.post_bytes;
  };
  if (!unsent_ && !is_due()) {
    changed_.wait_until(lock, abort, last_log_post_ + limits_.linger, is_due);
  }
}

DeploymentChannel::Batch DeploymentChannel::next_batch() {
  Batch batch;
  auto row = backlog_.take();
  if (!row) {
    return closing_line();
  }
  batch.type = row->type;
  while (row) {
    if (!batch.text.empty()) {
      batch.text += '\n';
    }
    batch.text += row->text;
    batch.lines += row->notice ? 0u : 1u;
    if (batch.text.size() + 1 >= limits_.post_bytes) {
      break;
    }
    row = backlog_.take(batch.type, limits_.post_bytes - batch.text.size() - 1);
  }
  return batch;
}

DeploymentChannel::Batch DeploymentChannel::closing_line() const {
  const std::uint64_t all = backlog_.pushed();
  Batch batch{.type = LogType::info, .text = {}, .lines = 0, .closing = true};
  const std::uint64_t missing = all - delivered_;
  if (missing == 0 && !output_lost_) {
    batch.text = fmt::format("Log complete: {} {}", all, lines(all));
  } else if (missing == 0) {
    batch.text = fmt::format("Log incomplete: {} {}", all, lines(all));
  } else {
    batch.text = fmt::format("Log incomplete: {} of {} {} {} missing", missing, all, lines(all),
                             missing == 1 ? "is" : "are");
    if (refused_ > 0) {
      batch.text += fmt::format(", {} of them refused by the platform", refused_);
    }
  }
  if (output_lost_) {
    batch.text += ", and the build engine dropped some output";
  }
  if (missing > 0 || output_lost_ || maybe_twice_) {
    batch.type = LogType::warning;
  }
  if (maybe_twice_) {
    batch.text += "; some lines may appear twice";
  }
  return batch;
}

Result<> DeploymentChannel::post(const Batch& batch, Lock& lock, const std::stop_token& abort) {
  std::stop_source wait;
  const std::stop_callback on_abort(abort, [&wait] { wait.request_stop(); });
  if (pending_ != nullptr && pending_->stop.stop_requested()) {
    wait.request_stop();
  }
  lease_wait_ = wait;
  lock.unlock();
  Result<> posted;
  if (lease_->wait(wait.get_token())) {
    posted = reporter_.post_log(deployment_, batch.type, batch.text, abort);
    metrics_.api_post("log", posted ? "ok" : to_string(posted.error().kind));
  } else {
    posted = wait.stop_requested() ? failure(ErrorKind::cancelled, "stopped")
                                   : failure(ErrorKind::conflict, "the lease is lost");
  }
  lock.lock();
  last_log_post_ = Clock::now();
  return posted;
}

/// What became of `unsent_`; false when it has to be posted again.
bool DeploymentChannel::take_answer(const Result<>& posted) {
  const bool closing = unsent_->closing;
  if (posted) {
    delivered_ += unsent_->lines;
    metrics_.log_lines(unsent_->lines);
    log_ended_ = log_ended_ || closing;
    if (closing && unsent_->type == LogType::warning) {
      log_.warning("{}", unsent_->text);
    }
    unsent_.reset();
  } else if (posted.error().is_transient() || posted.error().kind == ErrorKind::cancelled) {
    maybe_twice_ = maybe_twice_ ||
                   (posted.error().is_transient() && posted.error().effect == Effect::possible);
    if (closing) {
      unsent_.reset();  // It may have to say something else by then.
    }
    return false;
  } else if (posted.error().kind == ErrorKind::conflict) {
    log_ended_ = true;
    drop_log();
  } else {
    log_.error("{} log lines were refused: {}", unsent_->lines, posted.error().message);
    refused_ += unsent_->lines;
    log_ended_ = log_ended_ || closing;
    unsent_.reset();
  }
  count_drops();
  return true;
}

void DeploymentChannel::send_log(Lock& lock, const std::stop_token& abort) {
  auto random = make_random();
  for (int attempt = 0;; ++attempt) {
    if (!unsent_) {
      unsent_ = next_batch();
    }
    const auto posted = post(*unsent_, lock, abort);
    if (take_answer(posted) || closed_ || !log_goes_first()) {
      return;
    }
    const Error& error = posted.error();
    metrics_.api_retry("log");
    // While a final status waits there is not the time to back off as far as otherwise.
    BackoffPolicy backoff = k_api_backoff;
    if (pending_ != nullptr && pending_->final) {
      backoff.cap = std::min(backoff.cap, limits_.final_flush / 15);
    }
    const auto delay = next_delay(backoff, attempt, error.retry_after, random);
    if (attempt % 8 == 0) {
      log_.warning("log post failed, trying again in {} ms: {}", delay.count(), error.message);
    }
    pause(lock, abort, delay, error.retry_after.has_value());
    if (pending_ != nullptr && pending_->final && !pending_->cancelled &&
        error.effect == Effect::unreached) {
      // The status could not get through either: waiting for the log costs nothing.
      flush_until_ = Clock::now() + limits_.final_flush;
    }
    if (closed_ || !log_goes_first() ||
        (pending_ != nullptr && pending_->final && Clock::now() >= flush_until_)) {
      return;
    }
  }
}

/// Ends early when the status that waits behind the log is called off or has waited long enough;
/// and when one comes, unless the platform asked for the pause.
void DeploymentChannel::pause(Lock& lock, const std::stop_token& abort,
                              std::chrono::milliseconds delay, bool asked_for) {
  const SteadyTime until = Clock::now() + delay;
  const auto end = [&] {
    return pending_ == nullptr
               ? until
               : std::min(until, pending_->final ? flush_until_ : pending_->deadline);
  };
  while (Clock::now() < end()) {
    const PendingStatus* const before = pending_;
    const auto is_called_off = [&] {
      return closed_ || abort.stop_requested() ||
             (pending_ != nullptr && pending_->stop.stop_requested());
    };
    changed_.wait_until(lock, abort, end(), [&] { return is_called_off() || pending_ != before; });
    if (is_called_off() || (!asked_for && pending_ != before)) {
      return;
    }
  }
}

/// The time for the log is over: what is left of it is what one post can bring.
void DeploymentChannel::cut_log() {
  cut_ = true;
  if (pending_->cancelled) {
    return drop_log();
  }
  constexpr std::string_view k_why = "the platform did not take them in time";
  if (unsent_ && unsent_->text.size() + backlog_.held() > limits_.post_bytes) {
    backlog_.give_up(unsent_->lines, unsent_->text.size() + 1, k_why);
    unsent_.reset();
  }
  backlog_.keep_newest(limits_.post_bytes, k_why);
  count_drops();
}

void DeploymentChannel::drop_log() {
  if (unsent_) {
    backlog_.give_up(unsent_->lines, unsent_->text.size() + 1, {});
    unsent_.reset();
  }
  backlog_.clear();
  count_drops();
}

void DeploymentChannel::count_drops() {
  const std::uint64_t drops = backlog_.dropped() + refused_;
  metrics_.log_lines_dropped(drops - std::exchange(drops_counted_, drops));
  if (const auto fault = backlog_.fault()) {
    log_.warning("log lines cannot wait on the disk: {}", fault->message);
  }
}

/// In front of every attempt of a final status, once the time for the log is over: one try each for
/// the last lines and for the one that says how many are missing.
void DeploymentChannel::send_last_words(const std::stop_token& abort) {
  Lock lock(mutex_);
  if (!cut_ && has_words()) {
    cut_log();
  }
  while (has_words()) {
    if (!unsent_) {
      unsent_ = next_batch();
    }
    const bool closing = unsent_->closing;
    const auto posted = post(*unsent_, lock, abort);
    if (take_answer(posted)) {
      continue;
    }
    // The lines are given up only when the one that says so is out.
    if (!closing && posted.error().kind == ErrorKind::unavailable &&
        posted.error().effect != Effect::unreached && post(closing_line(), lock, abort)) {
      log_ended_ = true;
      drop_log();
    }
    return;
  }
}

Result<ports::StatusAnswer> DeploymentChannel::send_status(const PendingStatus& pending,
                                                           const std::stop_token& abort) {
  auto random = make_random();
  // Either stop ends a pause: the job's (a cancel) or the channel's (abort).
  std::stop_source pause;
  const std::stop_callback on_stop(pending.stop, [&pause] { pause.request_stop(); });
  const std::stop_callback on_abort(abort, [&pause] { pause.request_stop(); });
  for (int attempt = 0;; ++attempt) {
    if (pending.stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped before the status was posted");
    }
    if (pending.final) {
      send_last_words(abort);
    }
    // Behind them: while they were sent it may have been lost.
    if (!lease_->wait(pause.get_token())) {
      return pause.stop_requested()
                 ? failure(ErrorKind::cancelled, "stopped before the status was posted")
                 : failure(ErrorKind::conflict, "the lease is lost");
    }
    auto answer = reporter_.post_status(deployment_, *pending.update, abort);
    metrics_.api_post("status", answer ? "ok" : to_string(answer.error().kind));
    if (answer || !answer.error().is_transient()) {
      return answer;
    }
    const auto delay = next_delay(k_api_backoff, attempt, answer.error().retry_after, random);
    if (Clock::now() + delay > pending.deadline) {
      return answer;
    }
    metrics_.api_retry("status");
    log_.warning("status {} not delivered, trying again in {} ms: {}",
                 ports::to_string(pending.update->status), delay.count(), answer.error().message);
    if (!sleep_for(delay, pause.get_token())) {
      return failure(ErrorKind::cancelled, "stopped before the status was posted");
    }
  }
}

}  // namespace builder::pipeline
