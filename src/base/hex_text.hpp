#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace builder {

/// Hex as tools print it: digits, and between them what separates bytes.

/// The digit in lower case; 0 for what is none.
inline constexpr std::array<char, 256> k_hex_digits = [] {
  std::array<char, 256> digits{};
  for (const char c : std::string_view("0123456789abcdefABCDEF")) {
    digits[static_cast<unsigned char>(c)] =
        c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return digits;
}();

constexpr bool is_hex_separator(char c) {
  return c == ' ' || c == ':' || c == ',' || c == '-' || c == '\n' || c == '\r';
}

constexpr bool is_hex_x(char c) {
  return c == 'x' || c == 'X';
}

inline constexpr std::array<bool, 256> k_hex_members = [] {
  std::array<bool, 256> members{};
  for (unsigned c = 0; c < members.size(); ++c) {
    const char byte = static_cast<char>(c);
    members[c] = k_hex_digits[c] != 0 || is_hex_separator(byte) || is_hex_x(byte);
  }
  return members;
}();

/// Whether hex may consist of it.
inline bool is_hex_member(char byte) {
  return k_hex_members[static_cast<unsigned char>(byte)];
}

}  // namespace builder
