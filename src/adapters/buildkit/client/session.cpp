#include "adapters/buildkit/client/session.hpp"

#include "adapters/buildkit/client/connector.hpp"
#include "adapters/buildkit/transfer/file_receiver.hpp"
#include "adapters/buildkit/transfer/file_sync.hpp"
#include "base/check.hpp"

#include "buildkit_secrets.grpc.pb.h"
#include "buildkit_session.grpc.pb.h"

#include <fmt/format.h>

#include <chrono>
#include <random>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

constexpr std::chrono::milliseconds k_shutdown_limit{200};

class Auth final : public moby::filesync::v1::Auth::Service {
 public:
  explicit Auth(std::function<ports::SharedLogin(const std::string&)> login)
      : login_(std::move(login)) {}

  // Asked when a registry answers 401. An empty answer means: go on without a login.
  grpc::Status Credentials(grpc::ServerContext* /*context*/,
                           const moby::filesync::v1::CredentialsRequest* request,
                           moby::filesync::v1::CredentialsResponse* response) override {
    if (const ports::SharedLogin login = login_(request->host())) {
      response->set_username(login->username);
      response->set_secret(login->password.reveal());
    }
    return grpc::Status::OK;
  }

 private:
  std::function<ports::SharedLogin(const std::string&)> login_;
};

/// A secret that is not there is named by the daemon, which fails or goes on without it.
class Secrets final : public moby::buildkit::secrets::v1::Secrets::Service {
 public:
  Secrets(std::map<std::string, Secret> secrets, std::function<bool(const std::string&)> may_give)
      : secrets_(std::move(secrets)), may_give_(std::move(may_give)) {}

  grpc::Status GetSecret(grpc::ServerContext* /*context*/,
                         const moby::buildkit::secrets::v1::GetSecretRequest* request,
                         moby::buildkit::secrets::v1::GetSecretResponse* response) override {
    const auto found = secrets_.find(request->id());
    if (found == secrets_.end()) {
      return {grpc::StatusCode::NOT_FOUND, "secret " + request->id() + " not found"};
    }
    if (may_give_ && !may_give_(request->id())) {
      // Not as one that is not there: without it an optional one's step would run.
      return {grpc::StatusCode::FAILED_PRECONDITION, "the build starts again"};
    }
    response->set_data(found->second.reveal());
    return grpc::Status::OK;
  }

 private:
  const std::map<std::string, Secret> secrets_;
  const std::function<bool(const std::string&)> may_give_;
};

}  // namespace

struct Session::Services {
  FileSync files;
  FileReceiver result;
  Auth auth;
  Secrets secrets;
  SocketForward sockets;
};

Session::Session(SessionContent content)
    : id_(random_id()),
      shared_key_(std::move(content.shared_key)),
      services_(
          new Services{.files = FileSync(std::move(content.tree), std::move(content.dockerfile)),
                       .result = FileReceiver(content.result),
                       .auth = Auth(std::move(content.login)),
                       .secrets = Secrets(std::move(content.secrets), std::move(content.may_give)),
                       .sockets = SocketForward(std::move(content.sockets))}) {
  grpc::ServerBuilder builder;
  builder.RegisterService(&services_->files);
  builder.RegisterService(&services_->result);
  builder.RegisterService(&services_->auth);
  builder.RegisterService(&services_->secrets);
  builder.RegisterService(&services_->sockets);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, k_metadata_limit);
  server_ = builder.BuildAndStart();
  BUILDER_CHECK(server_ != nullptr);  // It binds nothing, so nothing can be in its way.
}

Session::~Session() {
  stop();
  server_->Shutdown(std::chrono::system_clock::now() + k_shutdown_limit);
}

Result<> Session::attach(Connector& connector, const ports::JobContext& job) {
  Headers headers{{"X-Docker-Expose-Session-Uuid", id_},
                  {"X-Docker-Expose-Session-Name", "deployra-builder"},
                  {"X-Docker-Expose-Session-Sharedkey", shared_key_}};
  // A method that is not listed counts as absent.
  for (const char* method :
       {"/moby.filesync.v1.FileSync/DiffCopy", "/moby.filesync.v1.FileSend/DiffCopy",
        "/moby.filesync.v1.Auth/Credentials", "/moby.buildkit.secrets.v1.Secrets/GetSecret",
        "/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent",
        "/grpc.health.v1.Health/Check"}) {
    headers.emplace_back("X-Docker-Expose-Session-Grpc-Method", method);
  }
  BUILDER_TRY_ASSIGN(link_, connector.attach(job, *server_, headers));
  return {};
}

std::uint64_t Session::bytes_sent() const {
  return services_->files.bytes_sent();
}

std::vector<std::string> Session::changed_files() {
  return services_->files.changed_files();
}

std::string Session::take_result() {
  return services_->result.take();
}

std::optional<Error> Session::result_error() const {
  return services_->result.error();
}

std::optional<Error> Session::transfer_error() {
  return services_->files.first_error();
}

void Session::stop() {
  services_->files.stop();
  services_->result.stop();
  services_->sockets.stop();
}

std::string random_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    id += fmt::format("{:08x}", device());
  }
  return id;
}

}  // namespace builder::adapters::buildkit
