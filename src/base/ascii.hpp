#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace builder {

/// ASCII letters in lower case; all other bytes stay as they are, whatever the locale.
inline std::string lower_case(std::string_view text) {
  std::string small(text);
  for (char& c : small) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    }
  }
  return small;
}

/// The same in upper case.
inline std::string upper_case(std::string_view text) {
  std::string large(text);
  for (char& c : large) {
    if (c >= 'a' && c <= 'z') {
      c = static_cast<char>(c - 'a' + 'A');
    }
  }
  return large;
}

/// Without what is blank at both ends. Formats differ in what they call blank.
inline std::string_view trimmed(std::string_view text, std::string_view blanks = " \t\r\n") {
  const std::size_t begin = text.find_first_not_of(blanks);
  return begin == std::string_view::npos
             ? std::string_view()
             : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

}  // namespace builder
