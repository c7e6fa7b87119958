#include "report/escape.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace builder::report {

std::string escape_from(std::string_view text, char32_t first) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text.front());
    const int ones = std::countl_one(lead);
    const auto length = static_cast<std::size_t>(ones >= 2 && ones <= 4 ? ones : 1);
    char32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    const std::string_view character = text.substr(0, length);
    for (const char next : character.substr(1)) {
      code = (code << 6U) | (static_cast<unsigned char>(next) & 0x3FU);
    }
    const bool is_control = (code < 0x20 && code != '\t' && code != '\n') || code == 0x7F;
    escaped += code >= first || (is_control && first <= 0x80)
                   ? fmt::format("\\u{{{:X}}}", static_cast<std::uint32_t>(code))
                   : std::string(character);
    text.remove_prefix(character.size());
  }
  return escaped;
}

}  // namespace builder::report
