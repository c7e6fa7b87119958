#pragma once

#include "base/log.hpp"
#include "base/log_throttle.hpp"
#include "base/result.hpp"
#include "ports/build_history.hpp"
#include "ports/deployment_reporter.hpp"
#include "ports/lease.hpp"
#include "ports/metrics.hpp"
#include "report/channel_limits.hpp"
#include "report/log_backlog.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

namespace builder::report {

/// Everything one deployment says to the platform, in one order: log lines and statuses share a
/// single stream with one post in flight. The API orders log rows by the time of their insert only,
/// so two posts under way could swap, and a status overtaking the log would hide the last lines.
/// The last line before a final status says whether the log is complete. Nothing is posted while
/// the lease does not hold.
///
/// A post that is refused for what is in it is divided until the row that is meant is found; that
/// one is written with escapes, and only when the platform takes a notice in its place, given up. A
/// status goes out in plain words instead.
///
/// Owned by the job's thread; `append` is called by any thread. Posts on a thread of its own, which
/// ends with the object.
class DeploymentChannel {
 public:
  /// `record` is told every row, whatever becomes of it at the platform; null: nobody is.
  DeploymentChannel(ports::DeploymentReporter& reporter, domain::DeploymentId deployment,
                    std::shared_ptr<const ports::Lease> lease, ChannelLimits limits,
                    ports::Metrics& metrics, Log log, ports::RunRecord* record = nullptr);
  DeploymentChannel(const DeploymentChannel&) = delete;
  DeploymentChannel& operator=(const DeploymentChannel&) = delete;
  ~DeploymentChannel();

  /// Adds a log line (valid UTF-8 without line end, already free of secrets). Never waits for the
  /// platform: what it does not take in time waits in a `LogBacklog`. Does nothing once the channel
  /// is closed.
  void append(domain::LogType type, std::string_view line);

  /// Lines of the log were lost before they came here; the last line will say so. Any thread.
  void note_lost_output();

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
  struct Batch {
    domain::LogType type{};
    std::string text;
    std::uint64_t lines = 0;  ///< Of those appended; a notice is none.
    bool closing = false;     ///< The last line.
    int failures = 0;         ///< Answers that may be about what is in it.
  };

  struct PendingStatus {
    const ports::StatusUpdate* update;
    std::stop_token stop;
    SteadyTime deadline;
    bool final;
    bool cancelled;
    std::optional<Result<ports::StatusAnswer>> answer;
  };

  using Lock = std::unique_lock<std::mutex>;

  void run(const std::stop_token& abort);
  void linger(Lock& lock, const std::stop_token& abort);
  void send_log(Lock& lock, const std::stop_token& abort);
  void send_last_words(const std::stop_token& abort);
  Result<ports::StatusAnswer> send_status(const PendingStatus& pending,
                                          const std::stop_token& abort);
  Result<ports::StatusAnswer> post_in_any_words(const ports::StatusUpdate& update, int attempt,
                                                const std::stop_token& abort);
  Result<ports::StatusAnswer> post(const ports::StatusUpdate& update, const std::stop_token& abort);
  template <class Post>
  auto while_leased(const std::stop_token& stop, const Post& post) const -> decltype(post());
  Result<> post(const Batch& batch, Lock& lock, const std::stop_token& abort);
  bool take_answer(const Result<>& posted, Lock& lock, const std::stop_token& abort);
  bool post_softer(const Error& refusal, Lock& lock, const std::stop_token& abort);
  bool split_front();
  void answer_pending(Result<ports::StatusAnswer> answer);
  void delivered_front();
  void pause(Lock& lock, const std::stop_token& abort, std::chrono::milliseconds delay,
             bool asked_for);

  [[nodiscard]] bool has_lines() const { return !unsent_.empty() || !backlog_.empty(); }

  /// Lines, or the last one that is due before a final status.
  [[nodiscard]] bool has_words() const {
    return !log_ended_ && (has_lines() || backlog_.pushed() > 0);
  }

  [[nodiscard]] bool log_goes_first() const;
  void take_batch();
  void escape_unsent();
  [[nodiscard]] Batch closing_line() const;
  void cut_log();
  void drop_log();
  void give_up_front(std::string_view why);
  void count_drops();

  ports::DeploymentReporter& reporter_;
  const domain::DeploymentId deployment_;
  const std::shared_ptr<const ports::Lease> lease_;
  const ChannelLimits limits_;
  ports::Metrics& metrics_;
  const Log log_;
  ports::RunRecord* const record_;

  std::mutex mutex_;
  std::condition_variable_any changed_;   ///< New lines, a new status or its stop, closed.
  std::condition_variable_any answered_;  ///< A status has its answer, closed.
  LogBacklog backlog_;
  PendingStatus* pending_ = nullptr;
  SteadyTime flush_until_{};                       ///< Of a final status.
  std::stop_source lease_wait_{std::nostopstate};  ///< Of the last log post.
  bool closed_ = false;
  bool output_lost_ = false;

  // The sender's own.
  std::deque<Batch> unsent_;     ///< Taken out of the backlog, and not delivered yet.
  bool escapes_ = false;         ///< The platform has shown that it cannot take every character.
  bool cut_ = false;             ///< The time for the log is over: one try for what is left.
  bool log_ended_ = false;       ///< The last line is out, or nobody wants it.
  std::uint64_t delivered_ = 0;  ///< Lines.
  std::uint64_t refused_ = 0;
  std::uint64_t drops_counted_ = 0;
  bool maybe_twice_ = false;
  LogThrottle told_;  ///< To the operator.
  SteadyTime last_log_post_{};
  std::jthread sender_;
};

}  // namespace builder::report
