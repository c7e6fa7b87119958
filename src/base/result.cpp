#include "base/result.hpp"

#include <cerrno>
#include <system_error>

namespace builder {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input:
      return "invalid_input";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::denied:
      return "denied";
    case ErrorKind::conflict:
      return "conflict";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::timed_out:
      return "timed_out";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::build_failed:
      return "build_failed";
    case ErrorKind::internal:
      return "internal";
  }
  return "internal";
}

std::unexpected<Error> errno_failure(std::string_view doing) {
  const int code = errno;
  ErrorKind kind = ErrorKind::internal;
  if (code == ENOENT || code == ENOTDIR) {
    kind = ErrorKind::not_found;
  } else if (code == EACCES || code == EPERM || code == EXDEV || code == ELOOP) {
    kind = ErrorKind::denied;
  }
  return failure(kind, std::string(doing) + ": " + std::generic_category().message(code));
}

}  // namespace builder
