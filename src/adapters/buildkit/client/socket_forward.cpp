#include "adapters/buildkit/client/socket_forward.hpp"

#include "adapters/buildkit/client/http_upgrade.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

namespace builder::adapters::buildkit {

namespace {

using moby::sshforward::v1::BytesMessage;
using AgentStream = grpc::ServerReaderWriter<BytesMessage, BytesMessage>;

constexpr std::chrono::seconds k_agent_limit{10};
constexpr const char* k_default_id = "default";  // Of a mount without an id.
constexpr std::size_t k_chunk = 32U << 10U;      // As BuildKit sends them.

/// Until the socket's end, the stream's, or a stop.
void answer(const Fd& fd, AgentStream& stream, const StopFd& stop) {
  std::array<char, k_chunk> buffer{};
  while (wait_for(fd, POLLIN, stop, SteadyTime::max())) {
    const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (count <= 0) {
      return;
    }
    BytesMessage message;
    message.set_data(buffer.data(), static_cast<std::size_t>(count));
    if (!stream.Write(message)) {
      return;
    }
  }
}

}  // namespace

grpc::Status SocketForward::CheckAgent(grpc::ServerContext* /*context*/,
                                       const moby::sshforward::v1::CheckAgentRequest* request,
                                       moby::sshforward::v1::CheckAgentResponse* /*response*/) {
  const std::string id = request->id().empty() ? k_default_id : request->id();
  // BuildKit's words for a client that forwards nothing, which name the key, come from this code
  // only.
  return sockets_.contains(id) ? grpc::Status::OK
                               : grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no socket " + id);
}

grpc::Status SocketForward::ForwardAgent(grpc::ServerContext* context, AgentStream* stream) {
  const auto named = context->client_metadata().find("buildkit.ssh.id");
  const std::string id = named == context->client_metadata().end()
                             ? k_default_id
                             : std::string(named->second.data(), named->second.size());
  const auto socket = sockets_.find(id);
  if (socket == sockets_.end()) {
    return {grpc::StatusCode::NOT_FOUND, "no socket " + id + " for this build"};
  }
  const StopFd stop(stop_.get_token());
  const auto fd =
      connect_engine(socket->second, stop, std::chrono::steady_clock::now() + k_agent_limit);
  if (!fd) {
    return {grpc::StatusCode::UNAVAILABLE, fd.error().message};
  }
  // One waits for the socket, and this one for the stream; each end wakes the other one.
  std::jthread answering([&] {
    answer(*fd, *stream, stop);
    context->TryCancel();
  });
  BytesMessage message;
  while (stream->Read(&message) && send_all(*fd, message.data(), stop, SteadyTime::max())) {
  }
  ::shutdown(fd->get(), SHUT_WR);
  return grpc::Status::OK;
}

}  // namespace builder::adapters::buildkit
