#pragma once

#include <string>
#include <string_view>

namespace builder::report {

/// Valid UTF-8 with every character from `first` on written as `\u{1F680}`. From 0x80 on control
/// characters are, too: what is left is printable ASCII, tabs and line ends.
std::string escape_from(std::string_view text, char32_t first);

}  // namespace builder::report
