#pragma once

#include "base/log.hpp"
#include "base/secret_store.hpp"

#include <memory>

namespace builder::app {

/// The service log on stderr: `time LEVEL key=value … text`, one line each. Secrets of `secrets`
/// are taken out of every line, control characters become spaces: text of strangers cannot forge
/// lines.
std::shared_ptr<LogSink> make_log_sink(LogLevel level, const SecretStore& secrets);

}  // namespace builder::app
