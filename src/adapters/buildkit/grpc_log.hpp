#pragma once

#include "base/log.hpp"

namespace builder::adapters::buildkit {

/// Sends what the gRPC library logs to `log`; it writes to stderr otherwise. Process-wide, since
/// the library's log function is; the last caller wins.
void forward_grpc_log(const Log& log);

}  // namespace builder::adapters::buildkit
