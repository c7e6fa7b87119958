#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "pipeline/metrics.hpp"
#include "ports/deployment_reporter.hpp"
#include "ports/lease.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace builder::pipeline {

struct ChannelLimits {
  std::size_t post_bytes = 60'000;  ///< Text of one log post (the platform's column takes 65,535).
  std::size_t buffer_bytes = 8u << 20;    ///< Waiting log text; beyond it the build waits.
  std::chrono::milliseconds linger{100};  ///< At least this long between two log posts.
  /// Longest wait for log text before a final status; what is left then is announced and dropped.
  std::chrono::milliseconds final_flush{120'000};
};

/// Everything one deployment says to the platform, in one order: log lines and statuses share a
/// single stream with one post in flight. The API orders log rows by the time of their insert only,
/// so two posts under way could swap, and a status overtaking the log would hide the last lines.
/// Nothing is posted while the lease does not hold.
///
/// Owned by the job's thread; `append` is called by any thread. Posts on a thread of its own, which
/// ends with the object.
class DeploymentChannel {
 public:
  DeploymentChannel(ports::DeploymentReporter& reporter, domain::DeploymentId deployment,
                    std::shared_ptr<const ports::Lease> lease, ChannelLimits limits,
                    Metrics& metrics, Log log);
  DeploymentChannel(const DeploymentChannel&) = delete;
  DeploymentChannel& operator=(const DeploymentChannel&) = delete;
  ~DeploymentChannel();

  /// Adds a log line (valid UTF-8 without line end, already free of secrets). Waits while the
  /// buffer is full: a line is never dropped because the API is slow. Returns early, without the
  /// line, once `stop` is requested or the channel is closed.
  void append(domain::LogType type, std::string line, const std::stop_token& stop);

  /// Posts a status behind all lines appended before it, repeating it with back-off while the API
  /// is away, until `deadline`. `stop` gives up between two attempts: a post in flight is awaited,
  /// so that nothing of ours can arrive after what is posted next.
  /// `unavailable`/`timed_out` at the deadline; `conflict` when the lease was lost; other kinds as
  /// the reporter's.
  Result<ports::StatusAnswer> status(const ports::StatusUpdate& update, const std::stop_token& stop,
                                     SteadyTime deadline);

  /// Drops what is waiting and lets nothing out any more. Idempotent.
  void close();

 private:
  struct Line {
    domain::LogType type;
    std::string text;
  };

  struct PendingStatus {
    const ports::StatusUpdate* update;
    std::stop_token stop;
    SteadyTime deadline;
    bool final;
    std::optional<Result<ports::StatusAnswer>> answer;
  };

  void run(const std::stop_token& abort);
  void send_logs(std::unique_lock<std::mutex>& lock, const std::stop_token& abort);
  Result<ports::StatusAnswer> send_status(const PendingStatus& pending,
                                          const std::stop_token& abort);
  [[nodiscard]] std::string next_batch(domain::LogType& type, std::size_t& lines);
  [[nodiscard]] bool must_skip_logs() const;

  ports::DeploymentReporter& reporter_;
  const domain::DeploymentId deployment_;
  const std::shared_ptr<const ports::Lease> lease_;
  const ChannelLimits limits_;
  Metrics& metrics_;
  const Log log_;

  std::mutex mutex_;
  std::condition_variable_any changed_;   ///< New lines, a new status, closed.
  std::condition_variable_any progress_;  ///< Room in the buffer, a status answered.
  std::deque<Line> lines_;
  std::size_t buffered_ = 0;
  PendingStatus* pending_ = nullptr;
  bool closed_ = false;
  SteadyTime last_log_post_{};
  std::jthread sender_;
};

}  // namespace builder::pipeline
