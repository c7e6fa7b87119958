#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace builder::domain {

/// A relative path without empty, "." and ".." parts; `invalid_input` when it is absolute, leaves
/// the tree, names its root, or holds control characters.
Result<std::string> clean_relative_path(std::string_view path);

}  // namespace builder::domain
