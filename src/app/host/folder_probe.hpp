#pragma once

#include "base/result.hpp"

#include <string>

namespace builder::app {

/// Whether files can be written below the folder now; made when it is missing. The error names the
/// folder and the system's reason (full, read-only, no rights).
Result<> probe_folder(const std::string& folder);

}  // namespace builder::app
