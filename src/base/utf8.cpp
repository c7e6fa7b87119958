#include "base/utf8.hpp"

#include <algorithm>
#include <array>

namespace builder {

std::size_t character_length(unsigned char first) {
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return 2;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    return 3;
  }
  return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

bool is_second_byte(unsigned char first, unsigned char second) {
  const unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  return second >= low && second <= high;
}

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

Character first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = character_length(first);
  const Character broken{.bytes = text.substr(0, 1)};
  if (length == 0 || length > text.size() ||
      (length > 1 && !is_second_byte(first, static_cast<unsigned char>(text[1])))) {
    return broken;
  }
  char32_t code = length == 1 ? first : first & (0xFFU >> (length + 1));
  for (const char next : text.substr(1, length - 1)) {
    if (!is_continuation(next)) {
      return broken;
    }
    code = (code << 6U) | (static_cast<unsigned char>(next) & 0x3FU);
  }
  return {.bytes = text.substr(0, length), .code = code, .valid = true};
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character character = first_character(text);
    if (!character.valid) {
      return false;
    }
    text.remove_prefix(character.bytes.size());
  }
  return true;
}

bool is_hidden(char32_t code) {
  struct Range {
    char32_t first;
    char32_t last;
  };

  constexpr std::array<Range, 8> k_hidden{{{0x80, 0x9F},
                                           {0x61C, 0x61C},
                                           {0x180E, 0x180E},
                                           {0x200B, 0x200F},
                                           {0x2028, 0x202E},
                                           {0x2060, 0x206F},
                                           {0xFEFF, 0xFEFF},
                                           {0xE0000, 0xE007F}}};
  return std::ranges::any_of(
      k_hidden, [code](const Range& range) { return code >= range.first && code <= range.last; });
}

bool is_white_space(char32_t code) {
  return code == ' ' || (code >= 0x09 && code <= 0x0D) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

std::size_t leading_blank(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const Character first = first_character(text);
  return first.valid && is_white_space(first.code) ? first.bytes.size() : 0;
}

}  // namespace builder
