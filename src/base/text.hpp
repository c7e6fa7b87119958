#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace builder {

/// `text` on one line: control characters become spaces, runs of them one, ends trimmed.
std::string one_line(std::string_view text);

/// At most `characters` UTF-8 characters of valid UTF-8 text; what is longer ends with "…".
std::string cut_characters(std::string_view text, std::size_t characters);

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

/// Whether `text` is valid UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

}  // namespace builder
