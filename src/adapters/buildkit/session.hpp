#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "adapters/buildkit/upgrade.hpp"
#include "ports/source_tree.hpp"

namespace grpc {
class Server;
}

namespace builder::adapters::buildkit {

/// What the engine may ask for during one build.
struct SessionContent {
  std::string shared_key;  ///< Names the engine's copy of the context; never shared by services.
  std::map<std::string, std::pair<std::string, std::string>> credentials;  ///< Host -> user, password.
};

/// The gRPC server that the engine calls back into during a build, on a connection we opened: context
/// transfer, registry credentials, secrets. One per build; its connection is its isolation.
class Session {
 public:
  explicit Session(SessionContent content);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const std::string& id() const { return id_; }
  /// What the engine must know about the session, as headers of the upgrade.
  [[nodiscard]] Headers headers() const;
  /// Serves a connection.
  void serve(Fd connection);
  /// The tree to serve; set before the build starts.
  void set_context(std::shared_ptr<const ports::SourceTree> tree);
  [[nodiscard]] std::uint64_t bytes_sent() const;
  /// What went wrong with the context on our side (an unreadable file); empty when nothing did.
  [[nodiscard]] std::string context_error() const;
  void stop();

 private:
  struct Services;
  const std::string id_;
  const SessionContent content_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace builder::adapters::buildkit
