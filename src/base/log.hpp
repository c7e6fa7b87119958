#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder {

enum class LogLevel { debug, info, warning, error };

/// How an event is written; docs/operations.md describes each.
enum class LogFormat { text, json, journald };

/// What an event is about. The names are the program's: `deployment`, `service`, `attempt`,
/// `phase`, in lower case; a value may be a stranger's text.
struct LogField {
  std::string name;
  std::string value;
};

using LogFields = std::vector<LogField>;

/// `name=value … ` in front of a message, which is empty for no fields. Values that could be taken
/// for something else stand in quotes.
std::string in_front(const LogFields& fields);

/// Where service log lines end up. Called from every thread.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(LogLevel level, std::string_view line) = 0;
  [[nodiscard]] virtual bool enabled(LogLevel level) const = 0;

  /// For a sink that keeps the fields apart; one line with the fields in front unless it does.
  virtual void write_event(LogLevel level, const LogFields& fields, std::string_view message) {
    write(level, in_front(fields).append(message));
  }
};

/// The operator's log. `with()` binds context such as the deployment once, and every line of that
/// copy carries it. The customer's build log is another one: a BuildEvent stream.
class Log {
 public:
  /// Says nothing.
  Log() = default;

  explicit Log(std::shared_ptr<LogSink> sink) : sink_(std::move(sink)) {}

  /// A field of this name that is bound already gets the new value.
  [[nodiscard]] Log with(std::string_view name, std::string_view value) const;

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
      sink_->write_event(level, fields_, fmt::format(format, std::forward<Args>(args)...));
    }
  }

  // Every copy of the log shares the sink, so it lives as long as anybody may still write.
  std::shared_ptr<LogSink> sink_;
  LogFields fields_;
};

}  // namespace builder
