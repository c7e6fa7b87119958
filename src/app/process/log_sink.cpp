#include "app/process/log_sink.hpp"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace builder::app {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// Of what the reader has not taken.
constexpr std::size_t k_most_waiting = 1U << 20U;
constexpr int k_last_patience_ms = 500;
constexpr const char* k_stalled = "its reader has stalled";

/// Writes only what can be written at once.
class PatientSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit PatientSink(int fd) : fd_(fd) {
    struct stat status{};
    is_socket_ = ::fstat(fd_, &status) == 0 && S_ISSOCK(status.st_mode);
  }

  ~PatientSink() override { flow(k_last_patience_ms); }

  PatientSink(const PatientSink&) = delete;
  PatientSink& operator=(const PatientSink&) = delete;

  [[nodiscard]] std::string trouble() {
    const std::scoped_lock lock(mutex_);
    flow(0);
    return reason_.empty()
               ? std::string()
               : fmt::format("the service log: {}, {} lines were dropped", reason_, missing_);
  }

  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    flow(0);
    if (waiting_.size() + line.size() > k_most_waiting) {
      drop(1);
      return;
    }
    waiting_.append(line.data(), line.size());
    flow(0);
  }

  void flush_() override {}

 private:
  void drop(std::uint64_t lines) {
    missing_ += lines;
    dropped_ += lines;
  }

  /// As much of what waits as goes without waiting longer than this.
  void flow(int patience_ms) {
    while (!waiting_.empty()) {
      pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
      if (::poll(&ready, 1, patience_ms) <= 0) {
        reason_ = k_stalled;
        return;
      }
      // A pipe that is ready has room for so much.
      const std::size_t size = std::min<std::size_t>(waiting_.size(), PIPE_BUF);
      const ssize_t written = is_socket_
                                  ? ::send(fd_, waiting_.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : ::write(fd_, waiting_.data(), size);
      if (written < 0 && errno == EINTR) {
        continue;
      }
      if (written < 0 && errno == EAGAIN) {
        reason_ = k_stalled;
        return;
      }
      if (written < 0) {
        // A reader that is gone, a full disk: it may be another one, or freed, by the next line.
        reason_ = std::generic_category().message(errno);
        drop(static_cast<std::uint64_t>(std::ranges::count(waiting_, '\n')));
        waiting_.clear();
        return;
      }
      waiting_.erase(0, static_cast<std::size_t>(written));
      if (waiting_.empty() && missing_ > 0) {
        waiting_ = fmt::format("{} lines of this log were dropped: {}\n",
                               std::exchange(missing_, 0), reason_);
      }
      if (waiting_.empty()) {
        reason_.clear();
      }
    }
  }

  const int fd_;
  bool is_socket_ = false;
  std::string waiting_;
  std::string reason_;                     ///< Why it does not flow; empty: it does.
  std::uint64_t missing_ = 0;              ///< Dropped, and not told yet.
  std::atomic<std::uint64_t> dropped_{0};  ///< In all.
};

class SpdlogSink final : public ServiceLog {
 public:
  SpdlogSink(LogLevel level, const SecretStore& secrets, int fd)
      : secrets_(secrets), sink_(std::make_shared<PatientSink>(fd)), logger_("builder", sink_) {
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v", spdlog::pattern_time_type::utc));
    logger_.set_level(to_spdlog(level));
  }

  [[nodiscard]] std::string trouble() override { return sink_->trouble(); }

  [[nodiscard]] std::uint64_t dropped() const override { return sink_->dropped(); }

  void write(LogLevel level, std::string_view line) override {
    std::string text = secrets_.redact(line);
    std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    logger_.log(to_spdlog(level), std::string_view(text));
  }

  [[nodiscard]] bool enabled(LogLevel level) const override {
    return logger_.should_log(to_spdlog(level));
  }

 private:
  const SecretStore& secrets_;
  std::shared_ptr<PatientSink> sink_;
  spdlog::logger logger_;
};

}  // namespace

std::shared_ptr<ServiceLog> make_service_log(LogLevel level, const SecretStore& secrets, int fd) {
  return std::make_shared<SpdlogSink>(level, secrets, fd);
}

}  // namespace builder::app
