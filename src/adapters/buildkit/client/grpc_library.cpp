#include "adapters/buildkit/client/grpc_library.hpp"

#include "base/sync.hpp"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <optional>
#include <string_view>

namespace builder::adapters::buildkit {

namespace {

// The library takes a plain function, so its target has to be global. Never destroyed: threads of
// the library may log until the process ends.
Sync<std::optional<Log>>& target() {
  static auto* const log = new Sync<std::optional<Log>>();
  return *log;
}

void write(gpr_log_func_args* line) {
  const std::optional<Log> log = *target().lock();
  if (!log) {
    return;
  }
  const std::string_view file = line->file;
  const std::string_view name = file.substr(file.rfind('/') + 1);
  if (line->severity == GPR_LOG_SEVERITY_ERROR) {
    log->warning("grpc {}:{}: {}", name, line->line, line->message);
  } else {
    log->debug("grpc {}:{}: {}", name, line->line, line->message);
  }
}

}  // namespace

void forward_grpc_log(const Log& log) {
  *target().lock() = log;
  gpr_set_log_function(&write);
}

void keep_grpc() {
  [[maybe_unused]] static const bool kept = (grpc_init(), true);  // No grpc_shutdown.
}

}  // namespace builder::adapters::buildkit
