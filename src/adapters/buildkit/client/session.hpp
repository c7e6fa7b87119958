#pragma once

#include "adapters/buildkit/client/connector.hpp"
#include "adapters/buildkit/client/socket_forward.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "ports/byte_sink.hpp"
#include "ports/registry_login.hpp"
#include "ports/source_tree.hpp"

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// What one build offers to the daemon.
struct SessionContent {
  std::string shared_key;  ///< Names the incremental copy of the files at the daemon.
  std::shared_ptr<const ports::SourceTree> tree;  ///< Null: it has no files.
  std::map<std::string, Secret> secrets;          ///< By id.
  /// Asked before one of them is given, on the session's threads; false fails the step that wants
  /// it. Null: all are given.
  std::function<bool(const std::string& id)> may_give = {};
  /// The tree that holds the Dockerfile, as the daemon is to see it; null: `tree`. An error refuses
  /// it. Called on the session's threads, several times.
  std::function<Result<std::shared_ptr<const ports::SourceTree>>()> dockerfile;
  /// The login for a registry by its API's host, exactly as the daemon asks; nullptr: anonymous.
  /// Called on the session's threads.
  std::function<ports::SharedLogin(const std::string& host)> login;
  std::map<std::string, docker::EngineAddress> sockets = {};  ///< By id: see `SocketForward`.
  /// Gets what an exporter sends, on the session's threads, one at a time, until `stop`
  /// returns; null: `take_result` has it.
  ports::ByteSink* result = nullptr;
};

/// One build's server for the daemon: it listens nowhere and is only reached through the
/// connections attached to it.
class Session {
 public:
  explicit Session(SessionContent content);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// Ends running calls and waits for their threads; a few milliseconds, 200 at most unless the
  /// tree itself blocks.
  ~Session();

  Result<> attach(Connector& connector, const ports::JobContext& job);

  [[nodiscard]] const std::string& id() const { return id_; }

  [[nodiscard]] std::uint64_t bytes_sent() const;
  [[nodiscard]] std::vector<std::string> changed_files();  ///< See `FileSync`.
  [[nodiscard]] std::optional<Error> transfer_error();
  /// Why what an exporter sent could not be taken.
  [[nodiscard]] std::optional<Error> result_error() const;
  /// The tar an exporter sent.
  [[nodiscard]] std::string take_result();
  /// No file is opened for the daemon any more, and the sink is not called again. Waits only for a
  /// call of the sink that runs.
  void stop();

 private:
  struct Services;

  std::string id_;
  std::string shared_key_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<SessionLink> link_;
};

/// An id nobody else uses: sessions and solves are named by their client.
std::string random_id();

}  // namespace builder::adapters::buildkit
