#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace builder::ports {

/// Takes an archive as it is made. Called by one thread at a time.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// The archive begins. A second time: what came so far is void, since the build had to start
  /// again.
  virtual Result<> begin() = 0;
  virtual Result<> write(std::string_view bytes) = 0;
};

/// Into a descriptor that stays open; a file is written from its start.
class FileSink final : public ByteSink {
 public:
  /// `name` is for people: "image.tar", "standard output".
  FileSink(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  /// What has been written to a pipe cannot be taken back: `unavailable` then.
  Result<> begin() override;
  Result<> write(std::string_view bytes) override;

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  const int fd_;
  const std::string name_;
  std::uint64_t size_ = 0;
};

}  // namespace builder::ports
