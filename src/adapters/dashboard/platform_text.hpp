#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace builder::adapters::dashboard {

/// Longer error texts are silently lost by the platform.
inline constexpr std::size_t k_error_characters = 191;
/// The platform stores 65,535 bytes of a log row; what stays below leaves room for what it may add.
inline constexpr std::size_t k_log_bytes = 60'000;

/// `text` as one line of at most `limit` Unicode characters: control characters and terminal
/// sequences are gone, runs of white space are one blank, bytes that are no UTF-8 are U+FFFD. A
/// text that was cut ends in "…".
std::string one_line(std::string_view text, std::size_t limit);

/// The longest beginning of `text` of at most `limit` bytes that does not cut a UTF-8 character.
std::string_view cut_bytes(std::string_view text, std::size_t limit);

}  // namespace builder::adapters::dashboard
