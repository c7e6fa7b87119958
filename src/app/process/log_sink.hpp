#pragma once

#include "base/log.hpp"
#include "base/secret_store.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace builder::app {

/// The service log, one line for each event (`log_format.hpp`). Secrets of `secrets` are taken out
/// of messages and fields, and text of strangers can forge neither a line nor a field. A reader
/// that stalls holds nobody up: what it does not take waits in memory, then is dropped and counted.
class ServiceLog : public LogSink {
 public:
  /// What is wrong with the reader; empty: nothing. Lets flow what waits.
  [[nodiscard]] virtual std::string trouble() = 0;
  /// Lines that no reader got, since the start.
  [[nodiscard]] virtual std::uint64_t dropped() const = 0;
};

struct ServiceLogSettings {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
  /// Of the format text: a person reads it on a terminal with colours.
  bool coloured = false;
  /// Of the format journald: where its daemon listens. If it does not when the log begins, the
  /// lines go to the descriptor, with priorities.
  std::string journal = "/run/systemd/journal/socket";
};

/// To a descriptor that stays open, or to journald.
std::shared_ptr<ServiceLog> make_service_log(const ServiceLogSettings& settings,
                                             const SecretStore& secrets, int fd);

}  // namespace builder::app
