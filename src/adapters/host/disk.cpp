#include "adapters/host/disk.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>

namespace builder::adapters::host {

Result<DiskSpace> disk_space(const std::string& folder) {
  struct statvfs numbers{};
  struct stat status{};
  if (::statvfs(folder.c_str(), &numbers) != 0 || ::stat(folder.c_str(), &status) != 0) {
    return errno_failure("the free space of " + folder);
  }
  const std::uint64_t block = numbers.f_frsize;
  return DiskSpace{.device = status.st_dev,
                   .free = numbers.f_bavail * block,
                   .total = (numbers.f_blocks - numbers.f_bfree + numbers.f_bavail) * block,
                   .free_inodes = numbers.f_favail,
                   .total_inodes = numbers.f_files};
}

}  // namespace builder::adapters::host
