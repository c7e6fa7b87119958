#pragma once

#include "adapters/buildkit/client/engine_info.hpp"
#include "adapters/buildkit/client/http_upgrade.hpp"
#include "adapters/buildkit/client/tls.hpp"
#include "adapters/docker/engine.hpp"
#include "base/result.hpp"
#include "ports/job_context.hpp"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

namespace builder::adapters::buildkit {

/// Error details, pattern lists and a .dockerignore travel as metadata; gRPC takes 8 KiB unless
/// told.
inline constexpr int k_metadata_limit = 16 * 1024 * 1024;
/// Progress comes in batches of a megabyte, and from BuildKit before 0.10 in larger ones.
inline constexpr int k_message_limit = 64 * 1024 * 1024;

/// Keeps a session reachable for the daemon; the connection ends with it or with the server.
class SessionLink {
 public:
  virtual ~SessionLink() = default;
};

/// The way to one daemon. Thread-safe.
///
/// Errors of all calls: `unavailable`, `denied`, `timed_out`, `cancelled`, `internal`.
class Connector {
 public:
  virtual ~Connector() = default;
  /// A channel for Control calls, shared by all builds; a connection known to be broken is
  /// replaced.
  virtual Result<std::shared_ptr<grpc::Channel>> control(const ports::JobContext& job) = 0;
  /// A connection of its own over which the daemon sends next to nothing until it is read: for a
  /// stream that is held in reserve.
  virtual Result<std::shared_ptr<grpc::Channel>> reserve(const ports::JobContext& job) = 0;
  /// `channel` turned out to be broken: the next `control` makes a new one.
  virtual void discard(const std::shared_ptr<grpc::Channel>& channel) = 0;
  /// Makes the services of `server` reachable for the daemon, announced by `headers`.
  virtual Result<std::unique_ptr<SessionLink>> attach(const ports::JobContext& job,
                                                      grpc::Server& server,
                                                      const Headers& headers) = 0;
  /// Asks the daemon who it is.
  virtual Result<EngineInfo> describe(const ports::JobContext& job) = 0;
};

/// The Engine's upgrade endpoints. First contacted by the calls. `engine` outlives it.
std::unique_ptr<Connector> make_docker_connector(docker::EngineAddress address,
                                                 docker::Engine& engine);

/// A standalone daemon: its socket or port, the session inside Control.Session. Without `tls` the
/// connection is plain. The error says what is wrong with a connection, naming the variable to look
/// at.
std::unique_ptr<Connector> make_buildkitd_connector(docker::EngineAddress address,
                                                    std::optional<TlsSettings> tls);

}  // namespace builder::adapters::buildkit
