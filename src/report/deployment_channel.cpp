#include "report/deployment_channel.hpp"

#include "base/backoff.hpp"
#include "base/stop.hpp"
#include "base/text.hpp"
#include "report/escape.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace builder::report {

namespace {

using domain::LogType;
using Clock = std::chrono::steady_clock;

constexpr BackoffPolicy k_api_backoff{.base = std::chrono::milliseconds(250),
                                      .cap = std::chrono::milliseconds(15'000)};

/// A row of which so much is refused is not divided further.
constexpr std::size_t k_smallest_piece = 1'024;
/// The first character that takes four bytes: many a database has no room for those.
constexpr char32_t k_first_wide = 0x10000;
constexpr char32_t k_first_beyond_ascii = 0x80;
/// So often the platform breaks over a post before what is in it comes under suspicion.
constexpr int k_unsuspicious = 1;

/// A status is not repeated behind this answer.
bool is_settled(ErrorKind kind) {
  return kind == ErrorKind::denied || kind == ErrorKind::not_found || kind == ErrorKind::conflict ||
         kind == ErrorKind::cancelled;
}

/// The post may pass with something else in it.
bool is_about_content(const Error& error, int failures) {
  return error.kind == ErrorKind::invalid_input ||
         (error.kind == ErrorKind::internal && failures >= k_unsuspicious);
}

/// The status without anything that a stranger has a part in; nullopt: there is nothing of that.
std::optional<ports::StatusUpdate> in_plain_words(const ports::StatusUpdate& update) {
  ports::StatusUpdate plain = update;
  if (update.status == ports::DeploymentStatus::failed) {
    plain.error =
        "The deployment failed. The platform did not take the reason in its own words; the log "
        "above may show it";
    plain.log = domain::Message{LogType::error, plain.error};
    return plain;
  }
  plain.log.reset();
  return update.log ? std::optional(plain) : std::nullopt;
}

/// Where to divide a text that was refused: behind a row, or within the only one; 0: nowhere.
std::size_t middle_of(std::string_view text) {
  const std::size_t half = text.size() / 2;
  std::size_t row_end = text.rfind('\n', half);
  if (row_end == std::string_view::npos) {
    row_end = text.find('\n', half);
  }
  if (row_end != std::string_view::npos) {
    return row_end;
  }
  if (text.size() <= k_smallest_piece) {
    return 0;
  }
  return truncate_bytes(text, half).size();
}

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
                                     ChannelLimits limits, ports::Metrics& metrics, Log log,
                                     ports::RunRecord* record)
    : reporter_(reporter),
      deployment_(std::move(deployment)),
      lease_(std::move(lease)),
      limits_(std::move(limits)),
      metrics_(metrics),
      log_(std::move(log)),
      record_(record),
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
  if (record_ != nullptr) {
    record_->row(type, line);
  }
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
  if (record_ != nullptr && update.log) {
    record_->row(update.log->type, update.log->text);
  }
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
      answer_pending(std::move(answer));
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
  if (unsent_.empty() && !is_due()) {
    changed_.wait_until(lock, abort, last_log_post_ + limits_.linger, is_due);
  }
}

/// Puts what is posted next into `unsent_`.
void DeploymentChannel::take_batch() {
  if (!unsent_.empty()) {
    return;
  }
  auto row = backlog_.take();
  if (!row) {
    unsent_.push_back(closing_line());
    return;
  }
  const auto batch_of = [](const LogBacklog::Row& first) {
    return Batch{
        .type = first.type, .text = std::string(first.text), .lines = first.notice ? 0u : 1u};
  };
  Batch& batch = unsent_.emplace_back(batch_of(*row));
  // A notice goes alone: in any other batch every row is a line of the log.
  while (!row->notice && batch.text.size() + 1 < limits_.post_bytes) {
    row = backlog_.take(batch.type, limits_.post_bytes - batch.text.size() - 1);
    if (!row) {
      break;
    }
    if (row->notice) {
      unsent_.push_back(batch_of(*row));
    } else {
      batch.text += '\n';
      batch.text += row->text;
      ++batch.lines;
    }
  }
  if (escapes_) {
    escape_unsent();
  }
}

void DeploymentChannel::escape_unsent() {
  for (Batch& batch : unsent_) {
    batch.text = escape_from(batch.text, k_first_wide);
  }
  // What has become too long for one post.
  while (!unsent_.empty() && unsent_.front().text.size() > limits_.post_bytes && split_front()) {
  }
}

DeploymentChannel::Batch DeploymentChannel::closing_line() const {
  const std::uint64_t all = backlog_.pushed();
  Batch batch{.type = LogType::info, .text = {}, .lines = 0, .closing = true};
  // Of a row that was divided, one part alone may have been refused.
  const std::uint64_t missing = std::max(all - delivered_, refused_);
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

/// Posts when the lease holds; again when the reporter found, a moment later, that it did not.
template <class Post>
auto DeploymentChannel::while_leased(const std::stop_token& stop, const Post& post) const
    -> decltype(post()) {
  while (lease_->wait(stop)) {
    auto answer = post();
    if (answer || answer.error().kind != ErrorKind::conflict) {
      return answer;
    }
  }
  return stop.stop_requested() ? failure(ErrorKind::cancelled, "stopped before it was posted")
                               : failure(ErrorKind::conflict, "the lease is lost");
}

Result<> DeploymentChannel::post(const Batch& batch, Lock& lock, const std::stop_token& abort) {
  std::stop_source wait;
  const std::stop_callback on_abort(abort, [&wait] { wait.request_stop(); });
  if (pending_ != nullptr && pending_->stop.stop_requested()) {
    wait.request_stop();
  }
  lease_wait_ = wait;
  lock.unlock();
  Result<> posted = while_leased(wait.get_token(), [&] {
    Result<> answer = reporter_.post_log(deployment_, batch.type, batch.text,
                                         {.stop = abort, .lease = lease_.get()});
    metrics_.api_post("log", answer ? "ok" : to_string(answer.error().kind));
    return answer;
  });
  lock.lock();
  last_log_post_ = Clock::now();
  return posted;
}

/// The first of `unsent_` is with the platform.
void DeploymentChannel::delivered_front() {
  const Batch& batch = unsent_.front();
  delivered_ += batch.lines;
  metrics_.log_lines(batch.lines);
  log_ended_ = log_ended_ || batch.closing;
  if (batch.closing && batch.type == LogType::warning) {
    log_.warning("{}", batch.text);
  }
  unsent_.pop_front();
}

/// Makes two of the first of `unsent_`; false: it is one row, and no long one.
bool DeploymentChannel::split_front() {
  Batch& front = unsent_.front();
  const std::size_t middle = front.closing ? 0 : middle_of(front.text);
  if (middle == 0) {
    return false;
  }
  const bool between_rows = front.text[middle] == '\n';
  Batch second = front;
  second.text = front.text.substr(middle + (between_rows ? 1 : 0));
  front.text.resize(middle);
  if (between_rows) {
    front.lines = static_cast<std::uint64_t>(std::ranges::count(front.text, '\n')) + 1;
    second.lines -= front.lines;
  } else {
    front.lines = 0;  // It is there when its end is.
  }
  unsent_.insert(unsent_.begin() + 1, std::move(second));
  return true;
}

/// The row that is meant is found: it goes with fewer characters, else a notice in its place. When
/// not even that is taken, it was not this row; it stays as it is, and false is returned.
bool DeploymentChannel::post_softer(const Error& refusal, Lock& lock,
                                    const std::stop_token& abort) {
  const Batch& row = unsent_.front();
  Batch softer = row;
  for (const char32_t first : {k_first_wide, k_first_beyond_ascii}) {
    std::string text = escape_from(row.text, first);
    if (text == softer.text) {
      continue;
    }
    softer.text = std::move(text);
    if (post(softer, lock, abort)) {
      log_.warning("log rows go out with escapes, the platform did not take them as they were: {}",
                   refusal.message);
      delivered_front();
      if (first == k_first_wide) {
        escapes_ = true;
        escape_unsent();
      }
      return true;
    }
  }
  if (row.closing) {
    return false;
  }
  const Batch notice{
      .type = LogType::warning,
      .text = fmt::format("[{} bytes dropped: the platform refuses this line]", row.text.size())};
  if (!post(notice, lock, abort)) {
    return false;
  }
  if (told_.is_news("refused: " + refusal.message)) {
    log_.error("a log line was refused: {}", refusal.message);
  }
  refused_ += std::max<std::uint64_t>(row.lines, 1);
  unsent_.pop_front();
  return true;
}

/// What became of the first of `unsent_`; false when it has to be posted again.
bool DeploymentChannel::take_answer(const Result<>& posted, Lock& lock,
                                    const std::stop_token& abort) {
  if (posted) {
    delivered_front();
  } else if (posted.error().kind == ErrorKind::conflict ||
             posted.error().kind == ErrorKind::not_found) {
    log_ended_ = true;
    drop_log();
  } else if (is_about_content(posted.error(), unsent_.front().failures++) &&
             (split_front() || post_softer(posted.error(), lock, abort))) {
    // Nothing is lost by that.
  } else {
    maybe_twice_ = maybe_twice_ ||
                   (posted.error().is_transient() && posted.error().effect == Effect::possible);
    if (unsent_.front().closing) {
      unsent_.clear();  // It may have to say something else by then.
    }
    return false;
  }
  count_drops();
  return true;
}

void DeploymentChannel::answer_pending(Result<ports::StatusAnswer> answer) {
  pending_->answer = std::move(answer);
  pending_ = nullptr;
  answered_.notify_all();
}

void DeploymentChannel::send_log(Lock& lock, const std::stop_token& abort) {
  auto random = make_random();
  for (int attempt = 0;; ++attempt) {
    take_batch();
    const auto posted = post(unsent_.front(), lock, abort);
    if (take_answer(posted, lock, abort) || closed_ || !log_goes_first()) {
      return;
    }
    const Error& error = posted.error();
    if (error.kind == ErrorKind::denied && pending_ != nullptr) {
      // So would the status be.
      return answer_pending(std::unexpected(error));
    }
    metrics_.api_retry("log");
    // While a final status waits there is not the time to back off as far as otherwise.
    BackoffPolicy backoff = k_api_backoff;
    if (pending_ != nullptr && pending_->final) {
      backoff.cap = std::min(backoff.cap, limits_.final_flush / 15);
    }
    const auto delay = next_delay(backoff, attempt, error.retry_after, random);
    if (told_.is_news(error.message)) {
      log_.warning("log post failed, trying again: {}", error.message);
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
  while (!unsent_.empty() && (unsent_.size() > 1 ||
                              unsent_.front().text.size() + backlog_.held() > limits_.post_bytes)) {
    give_up_front(k_why);
  }
  backlog_.keep_newest(limits_.post_bytes, k_why);
  count_drops();
}

void DeploymentChannel::drop_log() {
  while (!unsent_.empty()) {
    give_up_front({});
  }
  backlog_.clear();
  count_drops();
}

void DeploymentChannel::give_up_front(std::string_view why) {
  backlog_.give_up(unsent_.front().lines, unsent_.front().text.size() + 1, why);
  unsent_.pop_front();
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
    take_batch();
    const bool closing = unsent_.front().closing;
    const auto posted = post(unsent_.front(), lock, abort);
    if (take_answer(posted, lock, abort)) {
      continue;
    }
    // The lines are given up only when the one that says so is out.
    const Error& error = posted.error();
    const bool is_reached = error.kind != ErrorKind::cancelled && error.kind != ErrorKind::denied &&
                            error.effect != Effect::unreached;
    if (!closing && is_reached && post(closing_line(), lock, abort)) {
      log_ended_ = true;
      drop_log();
    }
    return;
  }
}

Result<ports::StatusAnswer> DeploymentChannel::post(const ports::StatusUpdate& update,
                                                    const std::stop_token& abort) {
  auto answer = reporter_.post_status(deployment_, update, {.stop = abort, .lease = lease_.get()});
  metrics_.api_post("status", answer ? "ok" : to_string(answer.error().kind));
  return answer;
}

/// A status is never held up by its words: what is refused goes out with plain ones.
Result<ports::StatusAnswer> DeploymentChannel::post_in_any_words(const ports::StatusUpdate& update,
                                                                 int attempt,
                                                                 const std::stop_token& abort) {
  auto answer = post(update, abort);
  if (answer || !is_about_content(answer.error(), attempt)) {
    return answer;
  }
  const auto plain = in_plain_words(update);
  if (!plain) {
    return answer;
  }
  auto again = post(*plain, abort);
  if (again) {
    log_.warning("status {} went out in plain words: {}", ports::to_string(update.status),
                 answer.error().message);
  }
  return again ? again : answer;
}

Result<ports::StatusAnswer> DeploymentChannel::send_status(const PendingStatus& pending,
                                                           const std::stop_token& abort) {
  auto random = make_random();
  LogThrottle told;
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
    auto answer = while_leased(pause.get_token(),
                               [&] { return post_in_any_words(*pending.update, attempt, abort); });
    if (answer || is_settled(answer.error().kind)) {
      return answer;
    }
    const auto delay = next_delay(k_api_backoff, attempt, answer.error().retry_after, random);
    if (Clock::now() + delay > pending.deadline) {
      return answer;
    }
    metrics_.api_retry("status");
    if (told.is_news(answer.error().message)) {
      log_.warning("status {} not delivered, trying again: {}",
                   ports::to_string(pending.update->status), answer.error().message);
    }
    if (!sleep_for(delay, pause.get_token())) {
      return failure(ErrorKind::cancelled, "stopped before the status was posted");
    }
  }
}

}  // namespace builder::report
