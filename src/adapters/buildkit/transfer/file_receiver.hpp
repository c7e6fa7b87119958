#pragma once

#include "base/sync.hpp"
#include "ports/byte_sink.hpp"

#include "buildkit_session.grpc.pb.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

namespace builder::adapters::buildkit {

/// Takes what the exporter of one solve sends: one stream at a time, a second one meanwhile is
/// refused. Called on the session's threads.
class FileReceiver final : public moby::filesync::v1::FileSend::Service {
 public:
  /// `sink` is used until `stop`; null: small results, not images, are kept for `take`.
  explicit FileReceiver(ports::ByteSink* sink) : has_sink_(sink != nullptr), sink_(sink) {}

  grpc::Status DiffCopy(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage, moby::filesync::v1::BytesMessage>*
          stream) override;

  /// Drops the sink, which is not called any more. Waits for a call of it that runs.
  void stop();

  /// What has arrived.
  [[nodiscard]] std::string take();

  /// Why the sink took no more.
  [[nodiscard]] std::optional<Error> error() const { return *error_.lock(); }

 private:
  Result<> receive(grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage,
                                            moby::filesync::v1::BytesMessage>& stream);

  /// `cancelled` once stopped.
  Result<> with_sink(const std::function<Result<>(ports::ByteSink&)>& call);

  const bool has_sink_;
  std::atomic<bool> running_ = false;
  std::mutex mutex_;       ///< Held while the sink is called.
  ports::ByteSink* sink_;  ///< Null: stopped, or none.
  Sync<std::string> data_;
  mutable Sync<std::optional<Error>> error_;
};

}  // namespace builder::adapters::buildkit
