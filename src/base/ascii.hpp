#pragma once

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

}  // namespace builder
