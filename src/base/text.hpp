#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace builder {

/// A stranger's text as one line that is valid UTF-8 and shows all it holds: terminal sequences and
/// hidden characters are gone, each run of white space is one blank, bytes that are no UTF-8 are
/// U+FFFD, ends are trimmed. At most `characters`, as `truncate_characters` counts.
std::string printable_line(std::string_view text, std::size_t characters = std::string::npos);

/// The same with its blanks as they are, for a row whose columns matter; a tab is one blank.
std::string printable_columns(std::string_view text);

/// At most `characters` UTF-8 characters of valid UTF-8 text; what is longer ends with "…".
std::string truncate_characters(std::string_view text, std::size_t characters);

/// The longest beginning of `text` of at most `bytes` bytes that splits no UTF-8 character.
std::string_view truncate_bytes(std::string_view text, std::size_t bytes);

/// "30 minutes", "1 minute", "90 seconds".
std::string in_words(std::chrono::seconds time);

std::array<std::uint8_t, 32> sha256(std::string_view data);

/// Lower-case hex of the SHA-256 of `data`.
std::string sha256_hex(std::string_view data);

/// Whether `text` holds nothing but lower-case hex digits.
bool is_hex(std::string_view text);

/// `sha256:` and 64 lower-case hex digits, as registries and engines name content.
bool is_digest(std::string_view text);

std::string base64_encode(std::string_view data);

/// nullopt when `text` is not base64 with its padding.
std::optional<std::string> base64_decode(std::string_view text);

/// Two digits per byte.
std::string hex(std::string_view bytes, bool upper = false);

/// Random lower-case hex, two digits per byte.
std::string random_hex(std::size_t bytes);

}  // namespace builder
