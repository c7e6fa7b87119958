#pragma once

#include "base/sync.hpp"
#include "ports/byte_sink.hpp"

#include "buildkit_session.grpc.pb.h"

#include <optional>
#include <string>

namespace builder::adapters::buildkit {

/// Takes what the exporter of one solve sends.
class FileReceiver final : public moby::filesync::v1::FileSend::Service {
 public:
  /// `sink` outlives it; null: small results, not images, are kept for `take`.
  explicit FileReceiver(ports::ByteSink* sink) : sink_(sink) {}

  grpc::Status DiffCopy(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage, moby::filesync::v1::BytesMessage>*
          stream) override;

  /// What has arrived.
  [[nodiscard]] std::string take();

  /// Why the sink took no more.
  [[nodiscard]] std::optional<Error> error() const { return *error_.lock(); }

 private:
  Result<> receive(grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage,
                                            moby::filesync::v1::BytesMessage>& stream);

  ports::ByteSink* const sink_;
  Sync<std::string> data_;
  mutable Sync<std::optional<Error>> error_;
};

}  // namespace builder::adapters::buildkit
