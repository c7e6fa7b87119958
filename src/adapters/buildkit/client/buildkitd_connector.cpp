#include "adapters/buildkit/client/connector.hpp"
#include "adapters/buildkit/client/daemon.hpp"
#include "adapters/buildkit/client/grpc_library.hpp"
#include "adapters/buildkit/client/session_tunnel.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <grpcpp/security/credentials.h>

#include <optional>
#include <stop_token>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

/// The daemon's gRPC closes connections that ping more often than every five minutes.
constexpr int k_keepalive_ms = 310'000;
constexpr int k_keepalive_limit_ms = 20'000;

class BuildkitdConnector final : public Connector {
 public:
  BuildkitdConnector(EngineAddress address, std::optional<TlsSettings> tls)
      : address_(std::move(address)), tls_(std::move(tls)) {}

  Result<std::shared_ptr<grpc::Channel>> control(const ports::JobContext& job) override {
    keep_grpc();
    std::shared_ptr<grpc::Channel> channel = kept();
    // A small call finds out whether the connection stands: a channel may not know yet that it
    // broke, and waiting for it cannot be stopped.
    const auto answer = ask_version(job, channel);
    if (answer) {
      return channel;
    }
    if (answer.error().error_code() != grpc::StatusCode::UNAVAILABLE) {
      return std::unexpected(explain(job, answer.error()));
    }
    discard(channel);
    channel = kept();
    if (const auto again = ask_version(job, channel); !again) {
      return std::unexpected(explain(job, again.error()));
    }
    return channel;
  }

  Result<std::shared_ptr<grpc::Channel>> reserve(const ports::JobContext& job) override {
    return control(job);
  }

  void discard(const std::shared_ptr<grpc::Channel>& channel) override {
    std::shared_ptr<grpc::Channel> broken;
    if (auto current = channel_.lock(); *current == channel) {
      broken.swap(*current);
    }
  }

  Result<std::unique_ptr<SessionLink>> attach(const ports::JobContext& /*job*/,
                                              grpc::Server& server,
                                              const Headers& headers) override {
    // `control` has just looked at the connection.
    return open_tunnel(kept(), server, headers);
  }

  Result<EngineInfo> describe(const ports::JobContext& job) override {
    const auto buildkit = ask_description(job, kept());
    if (!buildkit) {
      return std::unexpected(explain(job, buildkit.error()));
    }
    if (!buildkit->version) {
      // It is given the registry's login to push with, and could not be kept from using it to read.
      return failure(ErrorKind::conflict,
                     fmt::format("buildkitd at {} is older than 0.11: it knows no source policies, "
                                 "which keep a build away from other services' images",
                                 address_.str()));
    }
    return buildkitd_info(*buildkit);
  }

 private:
  std::shared_ptr<grpc::Channel> kept() {
    auto current = channel_.lock();
    if (*current == nullptr) {
      *current = open();
    }
    return *current;
  }

  [[nodiscard]] std::shared_ptr<grpc::Channel> open() const {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(k_message_limit);
    arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, k_metadata_limit);
    // Bandwidth probes of both ends answer each other without end during a log storm.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // A discarded channel must not leave its back-off to the next one.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 200);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
    if (address_.is_socket()) {
      arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
      return grpc::CreateCustomChannel("unix:" + address_.socket,
                                       grpc::InsecureChannelCredentials(), arguments);
    }
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, k_keepalive_ms);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, k_keepalive_limit_ms);
    const std::string target = address_.authority();
    if (!tls_) {
      return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
    }
    if (!tls_->server_name.empty()) {
      arguments.SetSslTargetNameOverride(tls_->server_name);
    }
    return grpc::CreateCustomChannel(target,
                                     grpc::SslCredentials({.pem_root_certs = tls_->ca,
                                                           .pem_private_key = tls_->key.reveal(),
                                                           .pem_cert_chain = tls_->certificate}),
                                     arguments);
  }

  Error explain(const ports::JobContext& job, const grpc::Status& status) {
    if (job.stop.stop_requested()) {
      return {.kind = ErrorKind::cancelled, .message = "stopped while talking to the engine"};
    }
    std::string why = printable_line(status.error_message());
    if (!address_.is_socket()) {
      // gRPC only says that a connection was closed.
      const StopFd stop(job.stop);
      const auto deadline = job.within(k_answer_limit).deadline;
      if (auto trouble = tls_ ? tls_trouble(address_, *tls_, stop, deadline) : std::nullopt) {
        why = *std::move(trouble);
      } else if (!tls_ && speaks_tls(address_, stop, deadline)) {
        why =
            "it wants TLS: set BUILDKIT_TLS_CA, and BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY if it "
            "asks for a certificate";
      }
    }
    // gRPC's words for a peer that speaks HTTP/1, or closes what it does not understand.
    if (why.contains("http1.x") || why.contains("SETTINGS frame")) {
      why += "; no BuildKit answers there (a Docker Engine belongs in DOCKER_HOST)";
    }
    const ErrorKind kind = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED
                               ? ErrorKind::timed_out
                               : ErrorKind::unavailable;
    return {.kind = kind,
            .message = fmt::format("buildkitd at {} (BUILDKIT_HOST): {}", address_.str(), why)};
  }

  const EngineAddress address_;
  const std::optional<TlsSettings> tls_;
  // Shared with the builds that use it.
  Sync<std::shared_ptr<grpc::Channel>> channel_;
};

}  // namespace

std::unique_ptr<Connector> make_buildkitd_connector(EngineAddress address,
                                                    std::optional<TlsSettings> tls) {
  return std::make_unique<BuildkitdConnector>(std::move(address), std::move(tls));
}

}  // namespace builder::adapters::buildkit
