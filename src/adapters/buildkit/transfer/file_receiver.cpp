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
  auto received = receive(*stream);
  if (!received) {
    *error_.lock() = std::move(received).error();
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the result cannot be taken"};
  }
  return grpc::Status::OK;
}

Result<> FileReceiver::receive(grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage,
                                                        moby::filesync::v1::BytesMessage>& stream) {
  std::string received;
  if (sink_ != nullptr) {
    BUILDER_TRY(sink_->begin());
  }
  moby::filesync::v1::BytesMessage message;
  while (stream.Read(&message)) {
    if (sink_ != nullptr) {
      BUILDER_TRY(sink_->write(message.data()));
      continue;
    }
    if (received.size() + message.data().size() > k_limit) {
      return failure(ErrorKind::invalid_input, "the result is too large");
    }
    received += message.data();
  }
  *data_.lock() = std::move(received);
  return {};
}

std::string FileReceiver::take() {
  return std::exchange(*data_.lock(), {});
}

}  // namespace builder::adapters::buildkit
