#pragma once

#include "base/sync.hpp"

#include "buildkit_session.grpc.pb.h"

#include <string>

namespace builder::adapters::buildkit {

/// Takes the tar that the exporter of one solve sends: small results, not images.
class FileReceiver final : public moby::filesync::v1::FileSend::Service {
 public:
  grpc::Status DiffCopy(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage, moby::filesync::v1::BytesMessage>*
          stream) override;

  /// What has arrived.
  [[nodiscard]] std::string take();

 private:
  Sync<std::string> data_;
};

}  // namespace builder::adapters::buildkit
