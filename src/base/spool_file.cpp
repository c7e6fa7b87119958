#include "base/spool_file.hpp"

#include "base/check.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace builder {

Result<SpoolFile> SpoolFile::open(const std::string& folder, std::size_t block,
                                  std::uint64_t limit) {
  Fd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    // A file system without nameless files: it has a name for a moment.
    std::string name = folder + "/spool-XXXXXX";
    fd.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (fd) {
      ::unlink(name.c_str());
    }
  }
  if (!fd) {
    return errno_failure("making a spool file in " + folder);
  }
  return SpoolFile(std::move(fd), block, static_cast<std::size_t>(limit / block));
}

Result<std::size_t> SpoolFile::write(std::string_view data) {
  BUILDER_CHECK(data.size() <= block_ && !is_full());
  const std::size_t slot = free_.empty() ? end_ : free_.back();
  for (std::size_t done = 0; done < data.size();) {
    const ssize_t written = ::pwrite(fd_.get(), data.data() + done, data.size() - done,
                                     offset(slot) + static_cast<off_t>(done));
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return errno_failure("writing a spool file");
    }
    done += static_cast<std::size_t>(written);
  }
  if (free_.empty()) {
    ++end_;
  } else {
    free_.pop_back();
  }
  return slot;
}

Result<std::string> SpoolFile::read(std::size_t slot, std::size_t size) const {
  std::string data(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = ::pread(fd_.get(), data.data() + done, size - done,
                                offset(slot) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return errno_failure("reading a spool file");
    }
    if (got == 0) {
      return failure(ErrorKind::internal, "a spool file is shorter than what was written");
    }
    done += static_cast<std::size_t>(got);
  }
  return data;
}

void SpoolFile::free(std::size_t slot) {
  free_.push_back(slot);
  if (free_.size() == end_ && ::ftruncate(fd_.get(), 0) == 0) {
    free_.clear();
    end_ = 0;
  }
}

}  // namespace builder
