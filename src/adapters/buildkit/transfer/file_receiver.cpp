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
  if (running_.exchange(true)) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "one result is taken at a time"};
  }
  auto received = receive(*stream);
  running_ = false;
  if (!received && received.error().kind == ErrorKind::cancelled) {
    return {grpc::StatusCode::CANCELLED, "stopped"};
  }
  if (!received) {
    *error_.lock() = std::move(received).error();
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the result cannot be taken"};
  }
  return grpc::Status::OK;
}

Result<> FileReceiver::receive(grpc::ServerReaderWriter<moby::filesync::v1::BytesMessage,
                                                        moby::filesync::v1::BytesMessage>& stream) {
  std::string received;
  if (has_sink_) {
    BUILDER_TRY(with_sink([](ports::ByteSink& sink) { return sink.begin(); }));
  }
  moby::filesync::v1::BytesMessage message;
  while (stream.Read(&message)) {
    if (has_sink_) {
      BUILDER_TRY(with_sink([&](ports::ByteSink& sink) { return sink.write(message.data()); }));
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

Result<> FileReceiver::with_sink(const std::function<Result<>(ports::ByteSink&)>& call) {
  const std::scoped_lock lock(mutex_);
  return sink_ == nullptr ? failure(ErrorKind::cancelled, "stopped") : call(*sink_);
}

void FileReceiver::stop() {
  const std::scoped_lock lock(mutex_);
  sink_ = nullptr;
}

std::string FileReceiver::take() {
  return std::exchange(*data_.lock(), {});
}

}  // namespace builder::adapters::buildkit
