#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder {

/// What stands at the front of a text that tools may have written in an escaped form: some bytes,
/// and what they mean.
struct TextPiece {
  std::size_t length = 0;  ///< 0: the text ends too early to tell.
  std::array<char, 4> meaning{};
  std::size_t meant = 0;

  [[nodiscard]] std::string_view text() const { return {meaning.data(), meant}; }
};

/// The kinds of escapes; flags.
enum Escapes : std::uint8_t {
  k_percent = 1,
  k_backslash = 2,  ///< JSON's and the shell's.
  k_entity = 4,     ///< HTML's.
  k_quote = 8,      ///< `'\''` and `'"'"'`
  k_all_escapes = 15,
};

/// Whether a piece of more than one byte can begin with it, or one that means nothing.
bool begins_piece(char byte);
/// The same, of a byte that does, when `next` stands behind it.
bool begins_piece(char byte, char next);

/// Reads the front of a text. Line ends and colours mean nothing. What only looks like an escape is
/// one byte that means itself. `complete`: nothing follows the text.
TextPiece read_piece(std::string_view text, bool complete, unsigned escapes = k_all_escapes);

/// `text` with every piece replaced by what it means.
std::string meaning_of(std::string_view text, unsigned escapes = k_all_escapes);

/// The front of `text` that means the same whatever follows: an escape at the end may take it in.
std::string_view closed_part(std::string_view text);

/// What `meaning_of` can make of the encodings of `text`. A tool escapes the marks of some kinds of
/// escapes, and they are read back; what looks like an escape of another kind is read as one.
std::vector<std::string> meanings_of_encodings(std::string_view text);

/// The characters of base64 that depend on `data` alone when it stands behind `phase` other bytes
/// and before unknown ones.
std::string base64_core(std::string_view data, std::size_t phase);

}  // namespace builder
