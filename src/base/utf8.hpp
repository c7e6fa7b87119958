#pragma once

#include <cstddef>
#include <string_view>

/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF. Written
/// here and not taken from a library: logs hold any bytes, and the libraries that decode one
/// character throw for each byte that is none.
namespace builder {

struct Character {
  std::string_view bytes;
  char32_t code = 0;
  bool valid = false;
};

/// The first character of a text that is not empty; its first byte alone when no character begins
/// there.
Character first_character(std::string_view text);

/// How many bytes the character has that begins with `first`; 0: none begins with it.
std::size_t character_length(unsigned char first);

/// Whether `second` may follow `first`, which begins a character of more than one byte.
bool is_second_byte(unsigned char first, unsigned char second);

/// Whether a byte is one behind the first of a character.
bool is_continuation(char byte);

bool is_utf8(std::string_view text);

/// What is not seen itself and changes how its neighbours are read: C1 controls, direction marks
/// and overrides, spaces without width, line separators, tags.
bool is_hidden(char32_t code);

/// Unicode's White_Space, which is also Go's `unicode.IsSpace`.
bool is_white_space(char32_t code);

/// The bytes of the white space character that `text` begins with; 0: it begins with none.
std::size_t leading_blank(std::string_view text);

}  // namespace builder
