#include "adapters/buildkit/transfer/file_receiver.hpp"

#include <utility>

namespace builder::adapters::buildkit {

namespace {

constexpr std::size_t k_limit = 4U << 20U;

}  // namespace

grpc::Status FileReceiver::DiffCopy(
    grpc::ServerContext* /*context*/,
    grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage, moby::filesync::v1::BytesMessage>*
        stream) {
  std::string received;
  moby::filesync::v1::BytesMessage message;
  while (stream->Read(&message)) {
    if (received.size() + message.data().size() > k_limit) {
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the result is too large"};
    }
    received += message.data();
  }
  *data_.lock() = std::move(received);
  return grpc::Status::OK;
}

std::string FileReceiver::take() {
  return std::exchange(*data_.lock(), {});
}

}  // namespace builder::adapters::buildkit
