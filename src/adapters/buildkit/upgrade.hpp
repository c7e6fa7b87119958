#pragma once

#include <string>
#include <utility>
#include <vector>

#include "adapters/docker/engine_address.hpp"
#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

namespace builder::adapters::buildkit {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// Asks the Engine to turn an HTTP connection into an HTTP/2 one (`POST <path>`, `Upgrade: h2c`) and
/// gives the non-blocking descriptor, positioned exactly behind the answer's header.
/// `unavailable` when the Engine is away or has no such endpoint, `timed_out`, `cancelled`.
Result<Fd> upgrade(const docker::EngineAddress& address, const std::string& path,
                   const Headers& headers, const std::stop_token& stop, SteadyTime deadline);

/// Reads the answer's header from a connected, non-blocking descriptor and not one byte more: the
/// Engine's first HTTP/2 frame follows at once. Exposed for tests.
Result<> read_upgrade_answer(const Fd& fd, const std::stop_token& stop, SteadyTime deadline);

}  // namespace builder::adapters::buildkit
