#include "ports/byte_sink.hpp"

#include <unistd.h>

#include <cerrno>

namespace builder::ports {

Result<> FileSink::begin() {
  if (size_ == 0) {
    return {};
  }
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0) {
    return failure(ErrorKind::unavailable,
                   "the build had to start again when part of its result was in " + name_);
  }
  size_ = 0;
  return {};
}

Result<> FileSink::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno_failure("write " + name_);
    }
    size_ += static_cast<std::uint64_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace builder::ports
