#pragma once

#include "adapters/buildkit/http_upgrade.hpp"
#include "base/result.hpp"
#include "ports/job_context.hpp"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace builder::adapters::buildkit {

/// Keeps a session reachable for the daemon; the connection ends with it or with the server.
class SessionLink {
 public:
  virtual ~SessionLink() = default;
};

/// The way to one daemon: the Engine's upgrade endpoints now, a standalone daemon's socket with the
/// session inside Control.Session is another implementation. Thread-safe.
///
/// Errors of both calls: `unavailable`, `denied`, `timed_out`, `cancelled`, `internal`.
class Connector {
 public:
  virtual ~Connector() = default;
  /// A channel for Control calls, shared by all builds; a connection known to be broken is
  /// replaced.
  virtual Result<std::shared_ptr<grpc::Channel>> control(const ports::JobContext& job) = 0;
  /// `channel` turned out to be broken: the next `control` makes a new one.
  virtual void discard(const std::shared_ptr<grpc::Channel>& channel) = 0;
  /// Makes the services of `server` reachable for the daemon, announced by `headers`.
  virtual Result<std::unique_ptr<SessionLink>> attach(const ports::JobContext& job,
                                                      grpc::Server& server,
                                                      const Headers& headers) = 0;
};

/// `unix:///path` or `tcp://host:port` (plain) of a Docker Engine; `invalid_input` for anything
/// else. First contacted by the calls.
Result<std::unique_ptr<Connector>> make_docker_connector(const std::string& address);

}  // namespace builder::adapters::buildkit
