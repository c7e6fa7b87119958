#include "base/file_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace builder {

Result<Fd> open_lock(const std::string& path) {
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) {
    return errno_failure("open " + path);
  }
  return lock;
}

bool is_still_at(const Fd& opened, const std::string& path) {
  struct stat ours{};
  struct stat theirs{};
  return opened && ::fstat(opened.get(), &ours) == 0 && ::stat(path.c_str(), &theirs) == 0 &&
         ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

}  // namespace builder
