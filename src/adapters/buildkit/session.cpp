#include "adapters/buildkit/session.hpp"

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_posix.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "adapters/buildkit/context_walk.hpp"
#include "base/text.hpp"
#include "buildkit_secrets.grpc.pb.h"
#include "buildkit_session.grpc.pb.h"

namespace builder::adapters::buildkit {

namespace {

using fsutil::types::Packet;
using ports::FileType;
using ports::SourceTree;

constexpr std::size_t k_chunk = 256 * 1024;
/// Pattern lists travel as metadata; gRPC's default of 8 KiB is too small for them.
constexpr int k_metadata_limit = 16 * 1024 * 1024;

// Go's os.FileMode bits.
constexpr std::uint32_t k_go_directory = 1u << 31u;
constexpr std::uint32_t k_go_symlink = 1u << 27u;
constexpr std::uint32_t k_go_setuid = 1u << 23u;
constexpr std::uint32_t k_go_setgid = 1u << 22u;
constexpr std::uint32_t k_go_sticky = 1u << 20u;

std::uint32_t go_mode(const ports::FileInfo& info) {
  std::uint32_t mode = info.permissions & 0777u;
  mode |= (info.permissions & 04000u) != 0 ? k_go_setuid : 0;
  mode |= (info.permissions & 02000u) != 0 ? k_go_setgid : 0;
  mode |= (info.permissions & 01000u) != 0 ? k_go_sticky : 0;
  if (info.type == FileType::directory) {
    mode |= k_go_directory;
  } else if (info.type == FileType::symlink) {
    mode = k_go_symlink | 0777u;
  }
  return mode;
}

int hex_value(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

std::string query_unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
        hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

/// All values of a metadata key; BuildKit from 0.12 marks escaped lists by `<key>-encoded: 1`.
std::vector<std::string> values(const grpc::ServerContext& context, const std::string& key) {
  const auto& metadata = context.client_metadata();
  const auto mark = metadata.find(key + "-encoded");
  const bool encoded = mark != metadata.end() && mark->second == "1";
  std::vector<std::string> out;
  const auto [begin, end] = metadata.equal_range(key);
  for (auto it = begin; it != end; ++it) {
    std::string value(it->second.data(), it->second.size());
    out.push_back(encoded ? query_unescaped(value) : value);
  }
  return out;
}

using Stream = grpc::ServerReaderWriter<Packet, Packet>;

/// One DiffCopy: we list the tree, the engine asks for files by their index in the list.
class Transfer {
 public:
  Transfer(const SourceTree& tree, Stream& stream, std::atomic<std::uint64_t>& bytes,
           std::stop_token stop)
      : tree_(tree), stream_(stream), bytes_(bytes), stop_(std::move(stop)) {}

  Result<> run(const TransferFilter& filter) {
    // On its own: a first message written with the buffer hint stays in the transport together with
    // the initial metadata until some other stream writes.
    stream_.SendInitialMetadata();
    std::jthread reader([this] { read_requests(); });
    std::jthread sender([this] { send_files(); });
    std::uint32_t next = 0;
    auto walked = walk_context(tree_, filter, stop_, [&](const WalkEntry& entry) {
      const std::uint32_t id = next++;
      if (entry.info.type == FileType::regular) {
        const std::scoped_lock lock(mutex_);
        files_.emplace(id, entry.path);
      }
      return send_entry(entry);
    });
    if (walked) {
      write(Packet(), false);  // A STAT without a stat ends the list.
    } else {
      fail(walked.error());
    }
    sender.join();
    reader.join();
    if (error_) {
      return std::unexpected(*error_);
    }
    return finished_ ? Result<>() : failure(ErrorKind::unavailable, "transfer interrupted");
  }

 private:
  bool write(const Packet& packet, bool more) {
    const std::scoped_lock lock(write_mutex_);
    grpc::WriteOptions options;
    return stream_.Write(packet, more ? options.set_buffer_hint() : options);
  }

  bool send_entry(const WalkEntry& entry) {
    Packet packet;
    auto& stat = *packet.mutable_stat();
    stat.set_path(entry.path);
    stat.set_mode(go_mode(entry.info));
    stat.set_mod_time(entry.info.modified);
    if (entry.info.type == FileType::regular) {
      stat.set_size(static_cast<std::int64_t>(entry.info.size));
    } else if (entry.info.type == FileType::symlink) {
      stat.set_size(static_cast<std::int64_t>(entry.link.size()));
      stat.set_linkname(entry.link);
    }
    return write(packet, true);
  }

  void fail(const Error& error) {
    {
      const std::scoped_lock lock(mutex_);
      if (!error_) {
        error_ = error;
      }
      broken_ = true;
    }
    Packet packet;
    packet.set_type(Packet::ERR);
    packet.set_data(error.message);
    write(packet, false);
    changed_.notify_all();
  }

  void read_requests() {
    Packet packet;
    bool done = false;
    while (!done && stream_.Read(&packet)) {
      const std::scoped_lock lock(mutex_);
      if (packet.type() == Packet::REQ) {
        requested_.push_back(packet.id());
      } else if (packet.type() == Packet::FIN) {
        finished_ = done = true;
      } else if (packet.type() == Packet::ERR) {
        error_ = Error{.kind = ErrorKind::unavailable, .message = "receiver: " + packet.data()};
        broken_ = done = true;
      }
      changed_.notify_all();
    }
    const std::scoped_lock lock(mutex_);
    broken_ = broken_ || !finished_;
    changed_.notify_all();
  }

  void send_files() {
    for (;;) {
      std::uint32_t id = 0;
      std::string path;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !requested_.empty() || finished_ || broken_; });
        if (broken_) {
          return;
        }
        if (requested_.empty()) {
          break;
        }
        id = requested_.front();
        requested_.pop_front();
        const auto file = files_.find(id);
        if (file == files_.end()) {
          lock.unlock();
          fail({.kind = ErrorKind::internal, .message = "request for an unknown file"});
          return;
        }
        path = std::move(file->second);
        files_.erase(file);
      }
      if (auto sent = send_file(id, path); !sent) {
        fail(sent.error());
        return;
      }
    }
    Packet fin;
    fin.set_type(Packet::FIN);
    write(fin, false);
  }

  Result<> send_file(std::uint32_t id, const std::string& path) {
    BUILDER_TRY_ASSIGN(const auto reader, tree_.open(path));
    Packet packet;
    packet.set_type(Packet::DATA);
    packet.set_id(id);
    std::string& data = *packet.mutable_data();
    for (;;) {
      data.resize(k_chunk);
      BUILDER_TRY_ASSIGN(const std::size_t count, reader->read(std::as_writable_bytes(std::span(data))));
      if (count == 0) {
        break;
      }
      data.resize(count);
      bytes_ += count;
      if (stop_.stop_requested() || !write(packet, true)) {
        return failure(ErrorKind::cancelled, "transfer stopped");
      }
    }
    data.clear();  // An empty DATA ends the file.
    bool more = false;
    {
      const std::scoped_lock lock(mutex_);
      more = !requested_.empty();
    }
    write(packet, more);
    return {};
  }

  const SourceTree& tree_;
  Stream& stream_;
  std::atomic<std::uint64_t>& bytes_;
  const std::stop_token stop_;
  std::mutex write_mutex_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::uint32_t, std::string> files_;  ///< What may be asked for.
  std::deque<std::uint32_t> requested_;
  bool finished_ = false;
  bool broken_ = false;
  std::optional<Error> error_;
};

class FileSync final : public moby::filesync::v1::FileSync::Service {
 public:
  grpc::Status DiffCopy(grpc::ServerContext* context, Stream* stream) override {
    const auto names = values(*context, "dir-name");
    const auto tree = context_tree();
    // Dockerfile and context are the same tree.
    if (names.empty() || (names[0] != "context" && names[0] != "dockerfile") || tree == nullptr) {
      return {grpc::StatusCode::NOT_FOUND, "no such directory"};
    }
    const TransferFilter filter{.include = values(*context, "include-patterns"),
                                .exclude = values(*context, "exclude-patterns"),
                                .follow = values(*context, "followpaths")};
    const auto done = Transfer(*tree, *stream, bytes, stop.get_token()).run(filter);
    if (done) {
      return grpc::Status::OK;
    }
    if (done.error().kind != ErrorKind::cancelled && done.error().kind != ErrorKind::unavailable) {
      const std::scoped_lock lock(mutex_);
      error_ = done.error().message;
    }
    return {grpc::StatusCode::INTERNAL, done.error().message};
  }

  void set_tree(std::shared_ptr<const SourceTree> tree) {
    const std::scoped_lock lock(mutex_);
    tree_ = std::move(tree);
  }
  std::string error() {
    const std::scoped_lock lock(mutex_);
    return error_;
  }

  std::atomic<std::uint64_t> bytes = 0;
  std::stop_source stop;

 private:
  std::shared_ptr<const SourceTree> context_tree() {
    const std::scoped_lock lock(mutex_);
    return tree_;
  }

  std::mutex mutex_;
  // Shared with the transfers that are under way.
  std::shared_ptr<const SourceTree> tree_;
  std::string error_;
};

/// Registry credentials for one exact host. The token calls are not offered: the engine then asks for
/// plain credentials and fetches tokens itself.
class Auth final : public moby::filesync::v1::Auth::Service {
 public:
  explicit Auth(const SessionContent& content) : content_(content) {}

  grpc::Status Credentials(grpc::ServerContext*,
                           const moby::filesync::v1::CredentialsRequest* request,
                           moby::filesync::v1::CredentialsResponse* response) override {
    const auto found = content_.credentials.find(request->host());
    if (found != content_.credentials.end()) {
      response->set_username(found->second.first);
      response->set_secret(found->second.second);
    }
    return grpc::Status::OK;
  }

 private:
  const SessionContent& content_;
};

class Secrets final : public moby::buildkit::secrets::v1::Secrets::Service {
 public:
  grpc::Status GetSecret(grpc::ServerContext*,
                         const moby::buildkit::secrets::v1::GetSecretRequest* request,
                         moby::buildkit::secrets::v1::GetSecretResponse*) override {
    return {grpc::StatusCode::NOT_FOUND, "secret " + request->id() + " not found"};
  }
};

}  // namespace

struct Session::Services {
  explicit Services(const SessionContent& content) : auth(content) {}
  FileSync files;
  Auth auth;
  Secrets secrets;
};

Session::Session(SessionContent content)
    : id_(random_hex(13)),
      content_(std::move(content)),
      services_(std::make_unique<Services>(content_)) {
  // The engine polls the health service and drops a session that does not answer.
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.RegisterService(&services_->files);
  builder.RegisterService(&services_->auth);
  builder.RegisterService(&services_->secrets);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, k_metadata_limit);
  server_ = builder.BuildAndStart();
}

Session::~Session() {
  stop();
}

Headers Session::headers() const {
  Headers headers{{"X-Docker-Expose-Session-Uuid", id_},
                  {"X-Docker-Expose-Session-Name", "deployra-builder"},
                  {"X-Docker-Expose-Session-Sharedkey", content_.shared_key}};
  for (const char* method :
       {"/moby.filesync.v1.FileSync/DiffCopy", "/moby.filesync.v1.Auth/Credentials",
        "/moby.buildkit.secrets.v1.Secrets/GetSecret", "/grpc.health.v1.Health/Check"}) {
    headers.emplace_back("X-Docker-Expose-Session-Grpc-Method", method);
  }
  return headers;
}

void Session::serve(Fd connection) {
  grpc::AddInsecureChannelFromFd(server_.get(), connection.release());
}

void Session::set_context(std::shared_ptr<const SourceTree> tree) {
  services_->files.set_tree(std::move(tree));
}

std::uint64_t Session::bytes_sent() const {
  return services_->files.bytes;
}

std::string Session::context_error() const {
  return services_->files.error();
}

void Session::stop() {
  if (server_ != nullptr) {
    services_->files.stop.request_stop();
    server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }
}

}  // namespace builder::adapters::buildkit
