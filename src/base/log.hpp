#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace builder {

enum class LogLevel { debug, info, warning, error };

/// Where service log lines end up. Called from every thread.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(LogLevel level, std::string_view line) = 0;
  [[nodiscard]] virtual bool enabled(LogLevel level) const = 0;
};

/// The operator's log. Cheap to copy. `with()` binds context such as `deployment=…` once, and every
/// line of that copy carries it. The customer's build log is another one: a BuildEvent stream.
class Log {
 public:
  /// Says nothing.
  Log() = default;

  explicit Log(std::shared_ptr<LogSink> sink) : sink_(std::move(sink)) {}

  [[nodiscard]] Log with(std::string_view key, std::string_view value) const {
    Log copy = *this;
    copy.context_ += fmt::format("{}={} ", key, value);
    return copy;
  }

  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::debug, format, std::forward<Args>(args)...);
  }

  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::info, format, std::forward<Args>(args)...);
  }

  template <class... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::warning, format, std::forward<Args>(args)...);
  }

  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) const {
    write(LogLevel::error, format, std::forward<Args>(args)...);
  }

 private:
  template <class... Args>
  void write(LogLevel level, fmt::format_string<Args...> format, Args&&... args) const {
    if (sink_ != nullptr && sink_->enabled(level)) {
      sink_->write(level, context_ + fmt::format(format, std::forward<Args>(args)...));
    }
  }

  // Every copy of the log shares the sink, so it lives as long as anybody may still write.
  std::shared_ptr<LogSink> sink_;
  std::string context_;
};

}  // namespace builder
