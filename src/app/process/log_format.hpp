#pragma once

#include "base/log.hpp"

#include <chrono>
#include <string>

namespace builder::app {

/// One line of the service log before it is written down.
struct LogEvent {
  std::chrono::system_clock::time_point time;
  LogLevel level = LogLevel::info;
  LogFields fields;
  std::string message;
};

/// Each of these writes one event as one line with its end, whatever strangers' text is in it: what
/// would end a line or drive a terminal is not in it any more, and no text looks like a field.

/// `2026-11-24T10:11:12.123Z info    deployment=d1 service=s1 message`
std::string text_line(const LogEvent& event);

/// For a person who looks at a terminal with colours: `10:11:12.123 info    message deployment=d1`,
/// the time as this machine has it.
std::string terminal_line(const LogEvent& event);

/// An object with `time` (RFC 3339, UTC, milliseconds), `level` (`debug`, `info`, `warning`,
/// `error`), `message`, and each field under its own name.
std::string json_line(const LogEvent& event);

/// `<6>deployment=d1 message` with the priority of syslog(3), as systemd reads it from stderr; time
/// and level are what systemd adds. Source: sd-daemon(3).
std::string priority_line(const LogEvent& event);

/// One datagram of journald's native protocol: `PRIORITY=6`, `MESSAGE=…`, `DEPLOYMENT=d1`, …, a
/// line each. Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
std::string journal_entry(const LogEvent& event);

}  // namespace builder::app
