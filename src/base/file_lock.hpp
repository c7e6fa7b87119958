#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

#include <string>

namespace builder {

/// Opens a file to be locked (flock), and makes it (0600) when there is none.
Result<Fd> open_lock(const std::string& path);

/// Whether what was opened at `path` is still what others find there: a lock on a file that was
/// removed keeps nobody out.
bool is_still_at(const Fd& opened, const std::string& path);

}  // namespace builder
