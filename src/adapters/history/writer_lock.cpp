#include "adapters/history/writer_lock.hpp"

#include "base/file_lock.hpp"
#include "base/stop.hpp"

#include <fcntl.h>

#include <chrono>
#include <limits>
#include <random>
#include <utility>

namespace builder::adapters::history {

namespace {

constexpr std::chrono::milliseconds k_between_tries{20};
constexpr int k_most_tries = 100;

struct flock byte_at(std::int64_t number) {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = number;
  lock.l_len = 1;
  return lock;
}

}  // namespace

Result<WriterLock> WriterLock::open(const std::string& path) {
  std::random_device random;
  std::uniform_int_distribution<std::int64_t> any(1, std::numeric_limits<off_t>::max() - 1);
  BUILDER_TRY_ASSIGN(Fd file, open_lock(path));
  const std::int64_t number = any(random);
  struct flock lock = byte_at(number);
  // Of the open file: a lock of the process would end when anybody here closes the same file.
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
    return errno_failure("lock " + path);
  }
  return WriterLock(std::move(file), number);
}

bool WriterLock::is_at(const std::string& path) const {
  return is_still_at(file_, path);
}

Result<Fd> lock_alone(const std::string& path) {
  BUILDER_TRY_ASSIGN(Fd file, open_lock(path));
  struct flock lock = byte_at(0);
  // Others hold it for milliseconds. Waiting in the kernel would have no end beside one that hangs.
  for (int tries = 0; ::fcntl(file.get(), F_OFD_SETLK, &lock) != 0; ++tries) {
    if (tries == k_most_tries) {
      return failure(ErrorKind::unavailable, path + " is locked by another process");
    }
    sleep_for(k_between_tries, {});
  }
  return file;
}

bool is_writing(const Fd& file, std::int64_t number) {
  struct flock lock = byte_at(number);
  return file && number > 0 && ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 &&
         lock.l_type != F_UNLCK;
}

}  // namespace builder::adapters::history
