#include "pipeline/deployment_channel.hpp"

#include "base/backoff.hpp"
#include "base/stop.hpp"

#include <algorithm>
#include <utility>

namespace builder::pipeline {

namespace {

using Clock = std::chrono::steady_clock;

constexpr BackoffPolicy k_api_backoff{.base = std::chrono::milliseconds(250),
                                      .cap = std::chrono::milliseconds(15'000)};

bool is_final(ports::DeploymentStatus status) {
  return status != ports::DeploymentStatus::building;
}

/// Where to cut `text` so that the front part has at most `limit` bytes and no character is split.
std::size_t character_border(const std::string& text, std::size_t limit) {
  if (text.size() <= limit) {
    return text.size();
  }
  std::size_t cut = limit;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0u) == 0x80u) {
    --cut;
  }
  return cut == 0 ? limit : cut;
}

/// A post is repeated when the API may take it later. `invalid_input`, `denied` and `not_found` are
/// final answers.
bool may_retry(const Error& error) {
  return error.is_transient();
}

}  // namespace

DeploymentChannel::DeploymentChannel(ports::DeploymentReporter& reporter,
                                     domain::DeploymentId deployment,
                                     std::shared_ptr<const ports::Lease> lease,
                                     ChannelLimits limits, Metrics& metrics, Log log)
    : reporter_(reporter),
      deployment_(std::move(deployment)),
      lease_(std::move(lease)),
      limits_(limits),
      metrics_(metrics),
      log_(std::move(log)),
      sender_([this](const std::stop_token& abort) { run(abort); }) {
}

DeploymentChannel::~DeploymentChannel() {
  close();
}

void DeploymentChannel::close() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    lines_.clear();
    buffered_ = 0;
  }
  sender_.request_stop();
  changed_.notify_all();
  progress_.notify_all();
}

void DeploymentChannel::append(domain::LogType type, std::string line,
                               const std::stop_token& stop) {
  // The platform refuses an empty text; a space shows as the empty line it is.
  if (line.empty()) {
    line = " ";
  }
  std::unique_lock lock(mutex_);
  const bool has_room =
      progress_.wait(lock, stop, [this] { return closed_ || buffered_ < limits_.buffer_bytes; });
  if (!has_room || closed_) {
    return;
  }
  // Only the first line after a pause and a full batch wake the sender: a busy one looks by itself.
  const bool was_full = buffered_ >= limits_.post_bytes;
  buffered_ += line.size() + 1;
  const bool wake = lines_.empty() || (!was_full && buffered_ >= limits_.post_bytes);
  lines_.push_back({type, std::move(line)});
  if (wake) {
    changed_.notify_one();
  }
}

Result<ports::StatusAnswer> DeploymentChannel::status(const ports::StatusUpdate& update,
                                                      const std::stop_token& stop,
                                                      SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  PendingStatus pending{.update = &update,
                        .stop = stop,
                        .deadline = deadline,
                        .final = is_final(update.status),
                        .answer = std::nullopt};
  progress_.wait(lock, [this] { return closed_ || pending_ == nullptr; });
  if (closed_) {
    return failure(ErrorKind::cancelled, "the deployment's channel is closed");
  }
  pending_ = &pending;
  changed_.notify_one();
  progress_.wait(lock, [&] { return pending.answer.has_value(); });
  return *std::move(pending.answer);
}

void DeploymentChannel::run(const std::stop_token& abort) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, abort,
                  [this] { return closed_ || pending_ != nullptr || !lines_.empty(); });
    if (abort.stop_requested() || closed_) {
      break;
    }
    if (!lines_.empty() && !must_skip_logs()) {
      // Nothing urgent: let lines gather, so that a chatty build does not make a row per line.
      if (pending_ == nullptr && buffered_ < limits_.post_bytes) {
        const SteadyTime due = last_log_post_ + limits_.linger;
        changed_.wait_until(lock, abort, due, [this] {
          return closed_ || pending_ != nullptr || buffered_ >= limits_.post_bytes;
        });
      }
      send_logs(lock, abort);
      continue;
    }
    PendingStatus& pending = *pending_;
    lock.unlock();
    auto answer = send_status(pending, abort);
    lock.lock();
    pending.answer = std::move(answer);
    pending_ = nullptr;
    progress_.notify_all();
  }
  if (pending_ != nullptr) {
    pending_->answer = failure(ErrorKind::cancelled, "the deployment's channel is closed");
    pending_ = nullptr;
  }
  progress_.notify_all();
}

bool DeploymentChannel::must_skip_logs() const {
  // A first BUILDING is not held up by a log that cannot be sent: its answer decides whether the
  // build goes on at all.
  return pending_ != nullptr &&
         (pending_->stop.stop_requested() || Clock::now() > pending_->deadline);
}

std::string DeploymentChannel::next_batch(domain::LogType& type, std::size_t& lines) {
  type = lines_.front().type;
  std::string batch;
  lines = 0;
  while (!lines_.empty() && lines_.front().type == type) {
    Line& line = lines_.front();
    const std::size_t separator = batch.empty() ? 0 : 1;
    if (line.text.size() + separator + batch.size() > limits_.post_bytes) {
      if (!batch.empty()) {
        break;
      }
      const std::size_t cut = character_border(line.text, limits_.post_bytes);
      batch = line.text.substr(0, cut);
      line.text.erase(0, cut);
      buffered_ -= cut;
      break;
    }
    if (separator != 0) {
      batch += '\n';
    }
    batch += line.text;
    buffered_ -= line.text.size() + 1;
    lines_.pop_front();
    ++lines;
  }
  return batch;
}

void DeploymentChannel::send_logs(std::unique_lock<std::mutex>& lock,
                                  const std::stop_token& abort) {
  if (lines_.empty()) {
    return;
  }
  domain::LogType type{};
  std::size_t lines = 0;
  const std::string batch = next_batch(type, lines);
  progress_.notify_all();
  lock.unlock();
  auto random = make_random();
  const SteadyTime started = Clock::now();
  for (int attempt = 0; lease_->wait(abort); ++attempt) {
    const auto posted = reporter_.post_log(deployment_, type, batch, abort);
    metrics_.api_post("log", posted ? "ok" : to_string(posted.error().kind));
    if (posted) {
      metrics_.log_lines(lines);
      break;
    }
    if (posted.error().kind == ErrorKind::cancelled) {
      break;
    }
    if (!may_retry(posted.error())) {
      log_.error("{} log lines were refused: {}", lines, posted.error().message);
      break;
    }
    {
      const std::scoped_lock relock(mutex_);
      if (must_skip_logs()) {
        // The waiting status was called off; the lines keep their place before the next one.
        buffered_ += batch.size() + 1;
        lines_.push_front({type, batch});
        break;
      }
      // A final status does not wait for ever for a log the API will not take.
      if (pending_ != nullptr && pending_->final && Clock::now() - started > limits_.final_flush) {
        log_.error("{} log lines could not be delivered: {}", lines + lines_.size(),
                   posted.error().message);
        lines_.clear();
        buffered_ = 0;
        break;
      }
    }
    metrics_.api_retry("log");
    const auto delay = next_delay(k_api_backoff, attempt, posted.error().retry_after, random);
    if (attempt % 8 == 0) {
      log_.warning("log post failed, trying again in {} ms: {}", delay.count(),
                   posted.error().message);
    }
    if (!sleep_for(delay, abort)) {
      break;
    }
  }
  lock.lock();
  last_log_post_ = Clock::now();
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
    if (!lease_->wait(pause.get_token())) {
      return pause.stop_requested()
                 ? failure(ErrorKind::cancelled, "stopped before the status was posted")
                 : failure(ErrorKind::conflict, "the lease is lost");
    }
    auto answer = reporter_.post_status(deployment_, *pending.update, abort);
    metrics_.api_post("status", answer ? "ok" : to_string(answer.error().kind));
    if (answer || !may_retry(answer.error())) {
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
