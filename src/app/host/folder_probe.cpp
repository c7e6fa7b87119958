#include "app/host/folder_probe.hpp"

#include "base/fd.hpp"
#include "base/temp_dir.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace builder::app {

Result<> probe_folder(const std::string& folder) {
  BUILDER_TRY(make_directories(folder));
  BUILDER_TRY_ASSIGN(const TempDir own, TempDir::make(folder, ".probe-"));
  const std::string path = own.path() + "/file";
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) {
    return errno_failure("write to " + folder);
  }
  // More than a full disk may keep for a file's beginning.
  const std::array<char, 64U << 10U> zeros{};
  const ssize_t written = ::write(file.get(), zeros.data(), zeros.size());
  if (written < 0) {
    return errno_failure("write to " + folder);
  }
  if (static_cast<std::size_t>(written) < zeros.size()) {
    errno = ENOSPC;
    return errno_failure("write to " + folder);
  }
  return {};
}

}  // namespace builder::app
