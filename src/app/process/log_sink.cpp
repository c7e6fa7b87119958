#include "app/process/log_sink.hpp"

#include "app/process/log_format.hpp"
#include "base/fd.hpp"

#include <fmt/format.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <deque>
#include <iterator>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

namespace builder::app {

namespace {

/// Of what the reader has not taken.
constexpr std::size_t k_most_waiting = 1U << 20U;
constexpr int k_last_patience_ms = 500;
constexpr const char* k_stalled = "its reader has stalled";

using Render = std::string (*)(const LogEvent&);

/// Who takes the lines. Both calls say with errno what is wrong, EAGAIN when it takes nothing now.
class Reader {
 public:
  virtual ~Reader() = default;
  /// False: it is not ready within that time.
  virtual bool wait(int patience_ms) = 0;
  /// How many bytes of a line it took, or -1. Never waits.
  virtual ssize_t take(std::string_view line) = 0;
};

class StreamReader final : public Reader {
 public:
  explicit StreamReader(int fd) : fd_(fd) {
    struct stat status{};
    is_socket_ = ::fstat(fd_, &status) == 0 && S_ISSOCK(status.st_mode);
  }

  bool wait(int patience_ms) override {
    pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
    return ::poll(&ready, 1, patience_ms) > 0;
  }

  ssize_t take(std::string_view line) override {
    // A pipe that is ready has room for so much.
    const std::size_t size = std::min<std::size_t>(line.size(), PIPE_BUF);
    return is_socket_ ? ::send(fd_, line.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : ::write(fd_, line.data(), size);
  }

 private:
  const int fd_;
  bool is_socket_ = false;
};

/// journald's socket takes a datagram for each event. libsystemd's sd_journal_send() waits for a
/// daemon that has stopped reading; this one does not.
class JournalReader final : public Reader {
 public:
  explicit JournalReader(std::string path) : path_(std::move(path)) {}

  bool wait(int patience_ms) override {
    if (!connect()) {
      return true;  // `take` says why not.
    }
    pollfd ready{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    return ::poll(&ready, 1, patience_ms) > 0;
  }

  ssize_t take(std::string_view line) override {
    if (!connect()) {
      return -1;
    }
    const ssize_t sent =
        ::send(socket_.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      const int why = errno;
      socket_.reset();  // A daemon that was started again has another socket.
      errno = why;
    }
    return sent;
  }

  /// False with errno: nobody is there.
  bool connect() {
    if (socket_) {
      return true;
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) {
      errno = ENAMETOOLONG;
      return false;
    }
    std::ranges::copy(path_, std::begin(address.sun_path));
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return false;
    }
    socket_ = std::move(socket);
    return true;
  }

 private:
  const std::string path_;
  Fd socket_;
};

class PatientLog final : public ServiceLog {
 public:
  PatientLog(LogLevel level, Render render, std::unique_ptr<Reader> reader,
             const SecretStore& secrets)
      : level_(level), render_(render), secrets_(secrets), reader_(std::move(reader)) {}

  ~PatientLog() override { flow(k_last_patience_ms); }

  PatientLog(const PatientLog&) = delete;
  PatientLog& operator=(const PatientLog&) = delete;

  [[nodiscard]] std::string trouble() override {
    const std::scoped_lock lock(mutex_);
    flow(0);
    return reason_.empty()
               ? std::string()
               : fmt::format("the service log: {}, {} lines were dropped", reason_, missing_);
  }

  [[nodiscard]] std::uint64_t dropped() const override { return dropped_; }

  [[nodiscard]] bool enabled(LogLevel level) const override { return level >= level_; }

  void write(LogLevel level, std::string_view line) override { write_event(level, {}, line); }

  void write_event(LogLevel level, const LogFields& fields, std::string_view message) override {
    if (!enabled(level)) {
      return;
    }
    LogEvent event{.time = std::chrono::system_clock::now(),
                   .level = level,
                   .fields = fields,
                   .message = secrets_.redact(message)};
    for (LogField& field : event.fields) {
      field.value = secrets_.redact(field.value);
    }
    std::string line = render_(event);
    const std::scoped_lock lock(mutex_);
    flow(0);
    if (size_ + line.size() > k_most_waiting) {
      drop(1);
      return;
    }
    enqueue(std::move(line));
    flow(0);
  }

 private:
  void enqueue(std::string line) {
    if (std::exchange(is_torn_, false)) {
      line.insert(0, 1, '\n');
    }
    size_ += line.size();
    waiting_.push_back(std::move(line));
  }

  void drop(std::uint64_t lines) {
    missing_ += lines;
    dropped_ += lines;
  }

  /// As much of what waits as goes without waiting longer than this.
  void flow(int patience_ms) {
    while (!waiting_.empty()) {
      if (!reader_->wait(patience_ms)) {
        reason_ = k_stalled;
        return;
      }
      std::string& line = waiting_.front();
      const ssize_t taken = reader_->take(line);
      if (taken < 0 && errno == EINTR) {
        continue;
      }
      if (taken < 0 && errno == EAGAIN) {
        reason_ = k_stalled;
        return;
      }
      if (taken < 0) {
        // A reader that is gone, a full disk: it may be another one, or freed, by the next line.
        reason_ = std::generic_category().message(errno);
        drop(waiting_.size());
        is_torn_ = is_torn_ || is_begun_;
        is_begun_ = false;
        waiting_.clear();
        size_ = 0;
        return;
      }
      size_ -= static_cast<std::size_t>(taken);
      line.erase(0, static_cast<std::size_t>(taken));
      is_begun_ = !line.empty();
      if (line.empty()) {
        waiting_.pop_front();
      }
      if (waiting_.empty() && missing_ > 0) {
        enqueue(render_({.time = std::chrono::system_clock::now(),
                         .level = LogLevel::warning,
                         .fields = {},
                         .message = fmt::format("{} lines of this log were dropped: {}",
                                                std::exchange(missing_, 0), reason_)}));
      }
      if (waiting_.empty()) {
        reason_.clear();
      }
    }
  }

  const LogLevel level_;
  const Render render_;
  const SecretStore& secrets_;
  std::mutex mutex_;  ///< Guards what follows, but for the last.
  std::unique_ptr<Reader> reader_;
  std::deque<std::string> waiting_;        ///< Of the first, what is left of it.
  std::size_t size_ = 0;                   ///< Bytes that wait.
  bool is_begun_ = false;                  ///< The first was written in part.
  bool is_torn_ = false;                   ///< What was written last has no end.
  std::string reason_;                     ///< Why it does not flow; empty: it does.
  std::uint64_t missing_ = 0;              ///< Dropped, and not told yet.
  std::atomic<std::uint64_t> dropped_{0};  ///< In all.
};

}  // namespace

std::shared_ptr<ServiceLog> make_service_log(const ServiceLogSettings& settings,
                                             const SecretStore& secrets, int fd) {
  Render render = settings.coloured ? terminal_line : text_line;
  std::unique_ptr<Reader> reader;
  if (settings.format == LogFormat::json) {
    render = json_line;
  } else if (settings.format == LogFormat::journald) {
    auto journal = std::make_unique<JournalReader>(settings.journal);
    const bool is_there = journal->connect();
    render = is_there ? journal_entry : priority_line;
    reader = is_there ? std::move(journal) : nullptr;
  }
  if (reader == nullptr) {
    reader = std::make_unique<StreamReader>(fd);
  }
  return std::make_shared<PatientLog>(settings.level, render, std::move(reader), secrets);
}

}  // namespace builder::app
