#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace builder::ports {

/// The counters an operator watches. Names are a contract: docs/operations.md lists them.
/// Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void set_queue_length(std::size_t length);
  void build_started();
  /// `result`: builded, failed, cancelled, superseded, requeued, gone.
  void build_finished(std::string_view result);
  /// `category`: customer, platform, network; `reason`: a rule of domain/failures, or the kind of
  /// the error.
  void failed(std::string_view category, std::string_view reason);
  /// A deployment whose image had been made before.
  void image_reused();
  /// `phase`: fetch, build, push, search, promote.
  void phase_took(std::string_view phase, std::chrono::steady_clock::duration duration);
  void queue_wait(std::chrono::steady_clock::duration duration);
  void bytes_pushed(std::uint64_t bytes);
  void context_bytes_sent(std::uint64_t bytes);
  /// `result`: clean, secret, incomplete, failed.
  void image_searched(std::string_view result);
  /// `result`: attached, failed.
  void image_attested(std::string_view result);
  /// `result`: attached, there (from before), none (nobody describes it), failed.
  void image_described(std::string_view result);
  void image_bytes_searched(std::uint64_t bytes);
  /// `kind`: status, log or waiting; `result`: the word for how the call ended.
  void api_post(std::string_view kind, std::string_view result);
  void api_retry(std::string_view kind);
  void log_lines(std::uint64_t lines);
  void log_lines_dropped(std::uint64_t lines);
  /// In all, so far: the service log's sink counts them itself.
  void service_log_dropped(std::uint64_t lines);
  /// Rows that the history of builds did not take, because it could not be written fast enough.
  void history_rows_lost(std::uint64_t rows);
  void malformed_job();
  /// A deployment whose end the platform will never take.
  void dead_letter(std::string_view reason);
  /// What the queue can promise on this server: A, B or none.
  void set_guarantee(std::string_view level);
  /// Whether the server may throw the queue away when its memory is short.
  void set_evictable(bool evictable);
  void set_ready(bool ready);
  /// Whether people have asked the worker to take no jobs.
  void set_paused(bool paused);
  /// The free space of a disk that builds write to.
  void set_disk_free(const std::string& disk, std::uint64_t bytes);
  /// Whether the host refuses builds for want of `what`: disk, inodes, memory or io.
  void set_host_short(const std::string& what, bool is_short);

  /// Prometheus text exposition format 0.0.4.
  [[nodiscard]] std::string render() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace builder::ports
