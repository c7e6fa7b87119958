#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <string>

namespace builder::adapters::host {

/// What a file system has left for us. `total` is what users can have at all: the root's reserve
/// is in neither, as in the percentage that `df` prints.
struct DiskSpace {
  std::uint64_t device = 0;  ///< Equal for folders of one file system.
  std::uint64_t free = 0;
  std::uint64_t total = 0;
  std::uint64_t free_inodes = 0;
  std::uint64_t total_inodes = 0;  ///< 0: it makes them as it needs them.
};

/// Of the file system that `folder` is on. Errors: `not_found`, and whatever the kernel says.
Result<DiskSpace> disk_space(const std::string& folder);

}  // namespace builder::adapters::host
