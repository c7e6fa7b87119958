#pragma once

#include "adapters/docker/engine_address.hpp"
#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

using docker::EngineAddress;

using Headers = std::vector<std::pair<std::string, std::string>>;

/// Connects. `unavailable` when nobody answers, `denied` without permission, `timed_out`,
/// `cancelled`. The descriptor is non-blocking.
Result<Fd> connect_engine(const EngineAddress& address, const StopFd& stop, SteadyTime deadline);

/// Until the descriptor is ready for `events` (`poll`). `timed_out`, `cancelled`.
Result<> wait_for(const Fd& fd, short events, const StopFd& stop, SteadyTime deadline);

/// The same, and `unavailable` when the peer is gone.
Result<> send_all(const Fd& fd, std::string_view data, const StopFd& stop, SteadyTime deadline);

/// Reads an HTTP/1.1 answer's header and not one byte more: the daemon's HTTP/2 preface follows in
/// the same packet and belongs to whoever gets the descriptor. `internal` for what is not HTTP or
/// is too long, `unavailable` when the peer hangs up.
Result<std::string> read_header(const Fd& fd, const StopFd& stop, SteadyTime deadline);

/// `POST path` with an upgrade to h2c; the descriptor after the daemon's 101. Any other answer is
/// an error that carries its status line and text: `unavailable` for 5xx, else `internal`.
Result<Fd> upgrade(const EngineAddress& address, const std::string& path, const Headers& headers,
                   const StopFd& stop, SteadyTime deadline);

}  // namespace builder::adapters::buildkit
