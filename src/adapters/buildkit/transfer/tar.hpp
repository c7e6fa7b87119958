#pragma once

#include "base/result.hpp"

#include <map>
#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// The regular files of a tar with few and small ones, by their paths in it. Links, folders and
/// extended headers are passed over. `internal` for what is no tar.
Result<std::map<std::string, std::string>> read_tar(std::string_view tar);

}  // namespace builder::adapters::buildkit
