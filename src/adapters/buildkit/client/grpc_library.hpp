#pragma once

#include "base/log.hpp"

namespace builder::adapters::buildkit {

/// Sends what the gRPC library logs to `log`; it writes to stderr otherwise. Process-wide, since
/// the library's log function is; the last caller wins.
void forward_grpc_log(const Log& log);

/// Called before a channel is made. Holds the library until the process ends, on purpose: it would
/// otherwise start and end its threads with each build, and its shutdown (1.51) joins a thread that
/// may sit in a 10 s poll. Not earlier: a worker that has nothing to do need not hold its memory.
void keep_grpc();

}  // namespace builder::adapters::buildkit
