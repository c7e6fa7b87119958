#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// `text` as one printable line of valid UTF-8: control characters and line ends become single
/// blanks, bytes that are not UTF-8 become '?'.
std::string one_line(std::string_view text);

/// At most `limit` bytes, cut between characters and ended with "…" when something was cut.
std::string shortened(std::string text, std::size_t limit);

}  // namespace builder::adapters::buildkit
