#include "adapters/buildkit/text.hpp"

namespace builder::adapters::buildkit {

namespace {

/// Length of the valid UTF-8 sequence at the front of `text`; 0 when there is none.
std::size_t valid_sequence(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  std::size_t length = 0;
  if (lead < 0x80) {
    length = 1;
  } else if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
  }
  if (length == 0 || length > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) {
      return 0;
    }
  }
  // Overlong forms, surrogates, and beyond U+10FFFF.
  const bool wrong =
      length > 2 && ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
                     (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F));
  return wrong ? 0 : length;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = valid_sequence(text);
    const auto lead = static_cast<unsigned char>(text.front());
    if (length == 0) {
      out += '?';
    } else if (lead < 0x20 || lead == 0x7F) {
      if (!out.empty() && out.back() != ' ') {
        out += ' ';
      }
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  while (out.ends_with(' ')) {
    out.pop_back();
  }
  return out;
}

std::string shortened(std::string text, std::size_t limit) {
  constexpr std::string_view k_ellipsis = "…";
  if (text.size() <= limit) {
    return text;
  }
  std::size_t end = limit < k_ellipsis.size() ? 0 : limit - k_ellipsis.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  text.resize(end);
  return text.append(k_ellipsis);
}

}  // namespace builder::adapters::buildkit
