#pragma once

#include "adapters/docker/engine_address.hpp"

#include "buildkit_ssh.grpc.pb.h"

#include <map>
#include <stop_token>
#include <string>
#include <utility>

namespace builder::adapters::buildkit {

/// Sockets that a step mounts (`RUN --mount=type=ssh,id=…`, which BuildKit has for agents of ssh,
/// and which carries any bytes): each connection of the step's becomes one of the socket's. A
/// connection ends with its step, and with `stop`.
class SocketForward final : public moby::sshforward::v1::SSH::Service {
 public:
  explicit SocketForward(std::map<std::string, docker::EngineAddress> sockets)
      : sockets_(std::move(sockets)) {}

  grpc::Status CheckAgent(grpc::ServerContext* context,
                          const moby::sshforward::v1::CheckAgentRequest* request,
                          moby::sshforward::v1::CheckAgentResponse* response) override;
  grpc::Status ForwardAgent(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<moby::sshforward::v1::BytesMessage,
                               moby::sshforward::v1::BytesMessage>* stream) override;

  /// Ends the connections that there are; there is none after it.
  void stop() { stop_.request_stop(); }

 private:
  const std::map<std::string, docker::EngineAddress> sockets_;
  std::stop_source stop_;
};

}  // namespace builder::adapters::buildkit
