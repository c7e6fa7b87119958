#include "adapters/buildkit/client/connector.hpp"
#include "adapters/buildkit/client/daemon.hpp"
#include "adapters/buildkit/client/grpc_library.hpp"
#include "adapters/buildkit/client/session.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/server_posix.h>

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

/// An engine that does not answer its local socket in this time is not healthy.
constexpr std::chrono::seconds k_connect_limit{10};

/// The least that gRPC takes.
constexpr int k_smallest_window = 5;

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(k_message_limit);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, k_metadata_limit);
  // Bandwidth probes of both ends answer each other without end during a log storm.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return arguments;
}

std::shared_ptr<grpc::Channel> channel_from(Fd fd, const grpc::ChannelArguments& arguments) {
  return grpc::CreateCustomInsecureChannelFromFd("localhost", fd.release(), arguments);
}

bool is_open(const Fd& fd) {
  pollfd entry{.fd = fd.get(), .events = POLLRDHUP, .revents = 0};
  return fd && ::poll(&entry, 1, 0) == 0;
}

class DockerConnector final : public Connector {
 public:
  DockerConnector(EngineAddress address, docker::Engine& engine)
      : address_(std::move(address)), engine_(engine) {}

  Result<std::shared_ptr<grpc::Channel>> control(const ports::JobContext& job) override {
    keep_grpc();
    if (auto kept = control_.lock(); kept->channel != nullptr && is_open(kept->watch)) {
      return kept->channel;
    }
    BUILDER_TRY_ASSIGN(Fd fd, open(job, "/grpc", {}));
    Control fresh;
    // A channel made from a descriptor cannot redial, nor tell that it broke before a call fails.
    fresh.watch = Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    fresh.channel = channel_from(std::move(fd), channel_arguments());
    std::shared_ptr<grpc::Channel> channel = fresh.channel;
    // The replaced channel is destroyed here, outside the lock; builds on it hold it themselves.
    std::swap(*control_.lock(), fresh);
    return channel;
  }

  Result<std::shared_ptr<grpc::Channel>> reserve(const ports::JobContext& job) override {
    BUILDER_TRY_ASSIGN(Fd fd, open(job, "/grpc", {}));
    grpc::ChannelArguments arguments = channel_arguments();
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, k_smallest_window);
    return channel_from(std::move(fd), arguments);
  }

  void discard(const std::shared_ptr<grpc::Channel>& channel) override {
    Control broken;
    if (auto kept = control_.lock(); kept->channel == channel) {
      std::swap(*kept, broken);
    }
  }

  Result<std::unique_ptr<SessionLink>> attach(const ports::JobContext& job, grpc::Server& server,
                                              const Headers& headers) override {
    BUILDER_TRY_ASSIGN(Fd fd, open(job, "/session", headers));
    grpc::AddInsecureChannelFromFd(&server, fd.release());
    return std::make_unique<SessionLink>();  // The server owns the connection.
  }

  Result<EngineInfo> describe(const ports::JobContext& job) override {
    const auto version = engine_.version(job.stop);
    if (!version) {
      Error error = Error(version.error()).with_context("DOCKER_HOST " + address_.str());
      if (error.message.contains("HTTP/0.9")) {
        error.message += "; no Docker Engine answers there (a BuildKit belongs in BUILDKIT_HOST)";
      }
      return std::unexpected(std::move(error));
    }
    // That something answers as an Engine does is not enough: a filter before it or a look-alike
    // may take no builds.
    auto buildkit = describe_buildkit(job);
    if (!buildkit) {
      Error error = std::move(buildkit).error();
      if (error.kind != ErrorKind::cancelled) {
        error.message = fmt::format(
            "{} at {} takes no builds: {}; DOCKER_HOST must lead to a Docker Engine's /grpc and "
            "/session (a filter before it has to let both through; Podman has neither: use "
            "buildkitd and BUILDKIT_HOST)",
            version->server.empty() ? "what answers" : version->server, address_.str(),
            error.message);
      }
      return std::unexpected(std::move(error));
    }
    return docker_engine_info(version->version, version->api_version, *buildkit);
  }

 private:
  Result<BuildkitDescription> describe_buildkit(const ports::JobContext& job) {
    BUILDER_TRY_ASSIGN(const auto channel, control(job));
    const auto buildkit = ask_description(job, channel);
    if (!buildkit) {
      discard(channel);
      return failure(job.stop.stop_requested() ? ErrorKind::cancelled : ErrorKind::unavailable,
                     fmt::format("its BuildKit does not answer: {}",
                                 printable_line(buildkit.error().error_message())));
    }
    if (auto kept = control_.lock(); kept->channel == channel && kept->takes_sessions) {
      return *buildkit;
    }
    // Once a connection: a session that is nobody's, and ends here.
    BUILDER_TRY(open(job, "/session", {{"X-Docker-Expose-Session-Uuid", random_id()}}));
    if (auto kept = control_.lock(); kept->channel == channel) {
      kept->takes_sessions = true;
    }
    return *buildkit;
  }

  struct Control {
    // Shared with the builds that use it.
    std::shared_ptr<grpc::Channel> channel;
    Fd watch;
    bool takes_sessions = false;  ///< Seen.
  };

  Result<Fd> open(const ports::JobContext& job, const std::string& path, const Headers& headers) {
    const StopFd stop(job.stop);
    return upgrade(address_, path, headers, stop, job.within(k_connect_limit).deadline);
  }

  const EngineAddress address_;
  docker::Engine& engine_;
  Sync<Control> control_;
};

}  // namespace

std::unique_ptr<Connector> make_docker_connector(EngineAddress address, docker::Engine& engine) {
  return std::make_unique<DockerConnector>(std::move(address), engine);
}

}  // namespace builder::adapters::buildkit
