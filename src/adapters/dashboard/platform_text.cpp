#include "adapters/dashboard/platform_text.hpp"

#include <algorithm>
#include <cstdint>

namespace builder::adapters::dashboard {
namespace {

constexpr std::string_view k_replacement = "\xEF\xBF\xBD";
constexpr std::string_view k_ellipsis = "\xE2\x80\xA6";

struct Character {
  std::string_view bytes;
  char32_t code = 0;
  bool valid = false;
};

unsigned char byte_at(std::string_view text, std::size_t index) {
  return static_cast<unsigned char>(text[index]);
}

std::size_t length_by_lead(unsigned char lead) {
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return 2;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    return 3;
  }
  return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

/// The first character of a text that is not empty; one byte of it when that is no UTF-8.
Character first_character(std::string_view text) {
  const unsigned char lead = byte_at(text, 0);
  const std::size_t length = length_by_lead(lead);
  const Character broken{.bytes = text.substr(0, 1)};
  if (length == 0 || length > text.size()) {
    return broken;
  }
  char32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const unsigned char next = byte_at(text, i);
    if ((next & 0xC0U) != 0x80U) {
      return broken;
    }
    code = (code << 6U) | (next & 0x3FU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (overlong || surrogate || code > 0x10FFFF) {
    return broken;
  }
  return {.bytes = text.substr(0, length), .code = code, .valid = true};
}

/// Length of the terminal sequence `text` begins with (ESC is its first byte), at least 1.
std::size_t escape_length(std::string_view text) {
  if (text.size() < 2 || text[1] != '[') {
    return 1;
  }
  const auto last = std::ranges::find_if(text.substr(2), [](char c) { return c >= '@'; });
  return std::min(text.size(), static_cast<std::size_t>(last - text.begin()) + 1);
}

bool is_blank(char32_t code) {
  return code == ' ' || (code >= 0x09 && code <= 0x0D) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F);
}

}  // namespace

std::string one_line(std::string_view text, std::size_t limit) {
  std::string line;
  std::size_t characters = 0;
  std::size_t cut_at = 0;  // Where the line ends when the last character must be the ellipsis.
  bool blank_due = false;
  const auto add = [&](std::string_view bytes) {
    if (characters + 1 == limit) {
      cut_at = line.size();
    }
    line += bytes;
    ++characters;
  };
  while (!text.empty() && characters <= limit) {
    if (text.front() == '\x1B') {
      text.remove_prefix(escape_length(text));
      continue;
    }
    const Character character = first_character(text);
    text.remove_prefix(character.bytes.size());
    if (character.valid && is_blank(character.code)) {
      blank_due = !line.empty();
      continue;
    }
    if (character.valid && is_control(character.code)) {
      continue;
    }
    if (blank_due) {
      add(" ");
      blank_due = false;
    }
    add(character.valid ? character.bytes : k_replacement);
  }
  if (characters > limit) {
    line.resize(cut_at);
    line += k_ellipsis;
  }
  return line;
}

std::string_view cut_bytes(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) {
    return text;
  }
  std::size_t end = limit;
  // A character has at most four bytes; text that is no UTF-8 is cut where the limit says.
  for (int i = 0; i < 4 && end > 0 && (byte_at(text, end) & 0xC0U) == 0x80U; ++i) {
    --end;
  }
  return text.substr(0, (byte_at(text, end) & 0xC0U) == 0x80U ? limit : end);
}

}  // namespace builder::adapters::dashboard
