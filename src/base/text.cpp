#include "base/text.hpp"

#include "base/check.hpp"
#include "base/utf8.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>

namespace builder {

namespace {

constexpr std::string_view k_ellipsis = "…";
constexpr std::string_view k_replacement = "\uFFFD";

/// Length of the terminal sequence that `text` begins with (ESC is its first byte), at least 1.
std::size_t escape_length(std::string_view text) {
  if (text.size() < 2 || text[1] != '[') {
    return 1;
  }
  const auto last = std::ranges::find_if(text.substr(2), [](char c) { return c >= '@'; });
  return std::min(text.size(), static_cast<std::size_t>(last - text.begin()) + 1);
}

/// Tells `add` each character of the line in turn, white space as a blank, until it returns false.
template <typename Add>
void for_each_printable(std::string_view text, const Add& add) {
  while (!text.empty()) {
    if (text.front() == '\x1B') {
      text.remove_prefix(escape_length(text));
      continue;
    }
    const Character character = first_character(text);
    text.remove_prefix(character.bytes.size());
    const bool is_shown = !character.valid || (character.code >= 0x20 && character.code != 0x7F &&
                                               !is_hidden(character.code));
    const std::string_view shown = character.valid && is_white_space(character.code) ? " "
                                   : !is_shown                                       ? ""
                                   : character.valid ? character.bytes
                                                     : k_replacement;
    if (!shown.empty() && !add(shown)) {
      return;
    }
  }
}

}  // namespace

std::string printable_line(std::string_view text, std::size_t characters) {
  std::string line;
  std::size_t count = 0;
  bool blank_due = false;
  for_each_printable(text, [&](std::string_view character) {
    if (character == " ") {
      blank_due = !line.empty();
      return true;
    }
    line += std::exchange(blank_due, false) ? (++count, " ") : "";
    line += character;
    // One more than fits: then it is cut.
    return ++count <= characters;
  });
  return count > characters ? truncate_characters(line, characters) : line;
}

std::string printable_columns(std::string_view text) {
  std::string line;
  for_each_printable(text, [&](std::string_view character) {
    line += character;
    return true;
  });
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string in_words(std::chrono::seconds time) {
  const bool minutes = time.count() >= 60 && time.count() % 60 == 0;
  const auto count = minutes ? time.count() / 60 : time.count();
  return std::to_string(count) + (minutes ? " minute" : " second") + (count == 1 ? "" : "s");
}

std::string truncate_characters(std::string_view text, std::size_t characters) {
  std::size_t count = 0;
  std::size_t keep = 0;  // Where the last character that leaves room for the ellipsis begins.
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_continuation(text[i])) {
      continue;
    }
    if (++count == characters) {
      keep = i;
    }
    if (count > characters) {
      return std::string(text.substr(0, keep)).append(k_ellipsis);
    }
  }
  return std::string(text);
}

std::string_view truncate_bytes(std::string_view text, std::size_t bytes) {
  constexpr int k_longest_character = 4;
  if (text.size() <= bytes) {
    return text;
  }
  std::size_t end = bytes;
  for (int i = 0; i < k_longest_character && end > 0 && is_continuation(text[end]); ++i) {
    --end;
  }
  // Text that is no UTF-8 is cut where the limit says.
  return text.substr(0, is_continuation(text[end]) ? bytes : end);
}

std::array<std::uint8_t, 32> sha256(std::string_view data) {
  std::array<std::uint8_t, 32> digest{};
  BUILDER_CHECK(
      EVP_Digest(data.data(), data.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

std::string sha256_hex(std::string_view data) {
  const auto digest = sha256(data);
  return hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_digest(std::string_view text) {
  constexpr std::string_view k_algorithm = "sha256:";
  return text.starts_with(k_algorithm) && text.size() == k_algorithm.size() + 64 &&
         is_hex(text.substr(k_algorithm.size()));
}

std::string base64_encode(std::string_view data) {
  std::string out((data.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(data.data()),
                                     static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string out(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) {
    return std::nullopt;
  }
  // It counts the bytes that stand for the padding, too.
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  out.resize(static_cast<std::size_t>(length) - padding);
  return out;
}

std::string hex(std::string_view bytes, bool upper) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += digits[value >> 4u];
    out += digits[value & 15u];
  }
  return out;
}

std::string random_hex(std::size_t bytes) {
  std::random_device device;
  std::string random;
  for (std::size_t i = 0; i < bytes; ++i) {
    random += static_cast<char>(device() & 0xFFu);
  }
  return hex(random);
}

}  // namespace builder
