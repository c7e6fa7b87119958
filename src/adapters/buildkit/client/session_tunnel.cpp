#include "adapters/buildkit/client/session_tunnel.hpp"

#include "base/ascii.hpp"
#include "base/fd.hpp"

#include "buildkit_control.grpc.pb.h"

#include <grpcpp/server_posix.h>

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

namespace wire = moby::buildkit::v1;

constexpr std::size_t k_piece = 256 * 1024;

class Tunnel final : public SessionLink {
 public:
  Tunnel(const std::shared_ptr<grpc::Channel>& channel, Fd ours, const Headers& headers)
      : control_(wire::Control::NewStub(channel)), fd_(std::move(ours)) {
    for (const auto& [name, value] : headers) {
      context_.AddMetadata(lower_case(name), value);
    }
    stream_ = control_->Session(&context_);
    from_daemon_ = std::jthread([this] { receive(); });
    try {
      to_daemon_ = std::jthread([this] { send(); });
    } catch (const std::system_error&) {
      // The receiver is joined before this leaves, and reads until the call ends.
      context_.TryCancel();
      throw;
    }
  }

  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  ~Tunnel() override {
    context_.TryCancel();
    // Wakes the sender; the receiver's read ends with the call.
    ::shutdown(fd_.get(), SHUT_RDWR);
    to_daemon_.join();
    from_daemon_.join();
  }

 private:
  void receive() {
    wire::BytesMessage message;
    while (stream_->Read(&message)) {
      std::string_view data = message.data();
      while (!data.empty()) {
        const ssize_t sent = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
          continue;
        }
        if (sent <= 0) {
          context_.TryCancel();
          return;
        }
        data.remove_prefix(static_cast<std::size_t>(sent));
      }
    }
    ::shutdown(fd_.get(), SHUT_RDWR);
  }

  void send() {
    wire::BytesMessage message;
    std::string& data = *message.mutable_data();
    for (;;) {
      data.resize(k_piece);
      const ssize_t count = ::recv(fd_.get(), data.data(), data.size(), 0);
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count <= 0) {
        break;
      }
      data.resize(static_cast<std::size_t>(count));
      if (!stream_->Write(message)) {
        break;
      }
    }
    stream_->WritesDone();
  }

  std::unique_ptr<wire::Control::Stub> control_;
  grpc::ClientContext context_;
  Fd fd_;
  std::unique_ptr<grpc::ClientReaderWriter<wire::BytesMessage, wire::BytesMessage>> stream_;
  std::jthread from_daemon_;
  std::jthread to_daemon_;
};

}  // namespace

Result<std::unique_ptr<SessionLink>> open_tunnel(const std::shared_ptr<grpc::Channel>& channel,
                                                 grpc::Server& server, const Headers& headers) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return errno_failure("socketpair");
  }
  Fd servers(ends[0]);
  Fd ours(ends[1]);
  ::fcntl(servers.get(), F_SETFL, O_NONBLOCK);
  auto tunnel = std::make_unique<Tunnel>(channel, std::move(ours), headers);
  grpc::AddInsecureChannelFromFd(&server, servers.release());
  return tunnel;
}

}  // namespace builder::adapters::buildkit
