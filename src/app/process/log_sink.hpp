#pragma once

#include "base/log.hpp"
#include "base/secret_store.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace builder::app {

/// The service log: `time LEVEL key=value … text`, one line each. Secrets of `secrets` are taken
/// out of every line, control characters become spaces: text of strangers cannot forge lines. A
/// reader that stalls holds nobody up: what it does not take waits in memory, then is dropped and
/// counted.
class ServiceLog : public LogSink {
 public:
  /// What is wrong with the reader; empty: nothing. Lets flow what waits.
  [[nodiscard]] virtual std::string trouble() = 0;
  /// Lines that no reader got, since the start.
  [[nodiscard]] virtual std::uint64_t dropped() const = 0;
};

/// To a descriptor that stays open.
std::shared_ptr<ServiceLog> make_service_log(LogLevel level, const SecretStore& secrets, int fd);

}  // namespace builder::app
