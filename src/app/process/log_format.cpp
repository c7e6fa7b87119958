#include "app/process/log_format.hpp"

#include "base/ascii.hpp"
#include "base/iso_time.hpp"
#include "base/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace builder::app {

namespace {

using std::chrono::system_clock;

/// journald cuts what is longer, and a datagram has to fit into a socket's buffer.
constexpr std::size_t k_longest_entry = 48U << 10U;

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      break;
  }
  return "error";
}

/// LOG_DEBUG, LOG_INFO, LOG_WARNING and LOG_ERR of syslog(3).
int priority_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return 7;
    case LogLevel::info:
      return 6;
    case LogLevel::warning:
      return 4;
    case LogLevel::error:
      break;
  }
  return 3;
}

/// SGR parameters: a level that wants a look stands out.
std::string_view colour_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "2";
    case LogLevel::info:
      return "32";
    case LogLevel::warning:
      return "33";
    case LogLevel::error:
      break;
  }
  return "31";
}

int milliseconds_of(system_clock::time_point time) {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  return static_cast<int>((since % std::chrono::seconds(1)).count());
}

std::string utc(system_clock::time_point time) {
  return iso_time(std::chrono::floor<std::chrono::milliseconds>(time));
}

LogFields printable(const LogFields& fields) {
  LogFields shown;
  for (const LogField& field : fields) {
    shown.push_back({field.name, printable_line(field.value)});
  }
  return shown;
}

/// Whether a text begins as a field does.
bool looks_like_field(std::string_view text) {
  const std::size_t end = text.find_first_of(" =");
  return end != std::string_view::npos && end > 0 && text[end] == '=';
}

/// Fields, then the message. A message that begins like a field has a bar in front of it.
std::string fields_and_message(const LogEvent& event) {
  const std::string message = printable_columns(event.message);
  const bool is_doubtful = !event.fields.empty() && looks_like_field(message);
  return in_front(printable(event.fields)) + (is_doubtful ? "| " : "") + message;
}

}  // namespace

std::string text_line(const LogEvent& event) {
  return fmt::format("{} {:<7} {}\n", utc(event.time), name_of(event.level),
                     fields_and_message(event));
}

std::string terminal_line(const LogEvent& event) {
  std::string fields = in_front(printable(event.fields));
  if (!fields.empty()) {
    fields.pop_back();
    fields = fmt::format("  \x1b[2m{}\x1b[0m", fields);
  }
  return fmt::format("\x1b[2m{:%H:%M:%S}.{:03}\x1b[0m \x1b[{}m{:<7}\x1b[0m {}{}\n",
                     fmt::localtime(system_clock::to_time_t(event.time)),
                     milliseconds_of(event.time), colour_of(event.level), name_of(event.level),
                     printable_columns(event.message), fields);
}

std::string json_line(const LogEvent& event) {
  nlohmann::ordered_json object{{"time", utc(event.time)},
                                {"level", name_of(event.level)},
                                {"message", printable_columns(event.message)}};
  for (const LogField& field : printable(event.fields)) {
    object.emplace(field.name, field.value);  // Which replaces nothing.
  }
  return object.dump() + "\n";
}

std::string priority_line(const LogEvent& event) {
  return fmt::format("<{}>{}\n", priority_of(event.level), fields_and_message(event));
}

std::string journal_entry(const LogEvent& event) {
  std::string entry = fmt::format(
      "PRIORITY={}\n"
      "SYSLOG_IDENTIFIER=deployra-builder\n"
      "MESSAGE={}\n",
      priority_of(event.level), truncate_bytes(printable_columns(event.message), k_longest_entry));
  for (const LogField& field : printable(event.fields)) {
    entry += fmt::format("{}={}\n", upper_case(field.name),
                         truncate_bytes(field.value, k_longest_entry));
  }
  return entry;
}

}  // namespace builder::app
