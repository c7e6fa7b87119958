#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

#include <string>

namespace builder {

/// Opens a file for locking (flock). Makes it (0600) if it does not exist.
Result<Fd> open_lock(const std::string& path);

/// Whether `path` still names the file that was opened. If not, somebody has removed it, and a lock
/// on it keeps nobody out.
bool is_still_at(const Fd& opened, const std::string& path);

}  // namespace builder
