#include "app/log_sink.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <string>

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

class SpdlogSink final : public LogSink {
 public:
  SpdlogSink(LogLevel level, const SecretStore& secrets)
      : secrets_(secrets), logger_("builder", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v", spdlog::pattern_time_type::utc));
    logger_.set_level(to_spdlog(level));
    logger_.flush_on(spdlog::level::debug);
  }

  void write(LogLevel level, std::string_view line) override {
    std::string text = secrets_.redactor()->redact(line);
    std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    logger_.log(to_spdlog(level), std::string_view(text));
  }

  [[nodiscard]] bool enabled(LogLevel level) const override {
    return logger_.should_log(to_spdlog(level));
  }

 private:
  const SecretStore& secrets_;
  spdlog::logger logger_;
};

}  // namespace

std::shared_ptr<LogSink> make_log_sink(LogLevel level, const SecretStore& secrets) {
  return std::make_shared<SpdlogSink>(level, secrets);
}

}  // namespace builder::app
