#include "base/text_forms.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>

namespace builder {

namespace {

/// HTML's names of U+00A0 to U+00FF.
constexpr std::array<std::string_view, 96> k_latin1{
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",
    "copy",   "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn",
    "sup2",   "sup3",   "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",
    "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde",
    "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave",
    "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde",
    "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",
    "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil",
    "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",   "eth",
    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml"};

constexpr std::size_t k_longest_colour = 64;
constexpr std::size_t k_longest_entity = 10;

int digit_of(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// The number that `count` digits from `at` make; -1: not all are digits; -2: the text ends before.
std::int64_t number_at(std::string_view text, std::size_t at, std::size_t count, int base) {
  std::int64_t value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (i >= text.size()) {
      return -2;
    }
    const int digit = digit_of(text[i]);
    if (digit < 0 || digit >= base) {
      return -1;
    }
    value = value * base + digit;
  }
  return value;
}

unsigned escape_of(char mark) {
  switch (mark) {
    case '%':
      return k_percent;
    case '\\':
      return k_backslash;
    case '&':
      return k_entity;
    case '\'':
      return k_quote;
    default:
      return 0;
  }
}

class Reader {
 public:
  Reader(std::string_view text, bool complete, unsigned escapes)
      : text_(text), complete_(complete), escapes_(escapes) {}

  TextPiece piece() {
    if ((escape_of(text_.front()) & ~escapes_) != 0) {
      return itself();
    }
    switch (text_.front()) {
      case '\n':
      case '\r':
        return means(1, "");
      case '%':
        return byte_of(1, 2, 16);
      case '\\':
        return backslash();
      case '&':
        return entity();
      case '\'':
        return quote();
      case '\x1B':
        return colour();
      default:
        return itself();
    }
  }

 private:
  TextPiece itself() { return means(1, text_.substr(0, 1)); }

  /// The text ends before it is known what this is.
  TextPiece open() { return complete_ ? itself() : TextPiece{}; }

  static TextPiece means(std::size_t length, std::string_view meaning) {
    TextPiece piece{.length = length};
    for (const char c : meaning) {
      if (c != '\n' && c != '\r' && piece.meant < piece.meaning.size()) {
        piece.meaning[piece.meant++] = c;
      }
    }
    return piece;
  }

  static TextPiece character(std::size_t length, std::uint32_t code) {
    std::string utf8;
    const auto rest = [&](unsigned shift) {
      utf8 += static_cast<char>(0x80U | ((code >> shift) & 0x3FU));
    };
    if (code < 0x80) {
      utf8 += static_cast<char>(code);
    } else if (code < 0x800) {
      utf8 += static_cast<char>(0xC0U | (code >> 6U));
      rest(0);
    } else if (code < 0x10000) {
      utf8 += static_cast<char>(0xE0U | (code >> 12U));
      rest(6);
      rest(0);
    } else {
      utf8 += static_cast<char>(0xF0U | ((code >> 18U) & 7U));
      rest(12);
      rest(6);
      rest(0);
    }
    return means(length, utf8);
  }

  TextPiece byte_of(std::size_t at, std::size_t digits, int base) {
    const std::int64_t value = number_at(text_, at, digits, base);
    if (value == -2) {
      return open();
    }
    const char byte = static_cast<char>(value);
    return value < 0 ? itself() : means(at + digits, {&byte, 1});
  }

  TextPiece backslash() {
    if (text_.size() < 2) {
      return open();
    }
    const char next = text_[1];
    switch (next) {
      case 'n':
      case 'r':
        return means(2, "");
      case 't':
        return means(2, "\t");
      case 'b':
        return means(2, "\b");
      case 'f':
        return means(2, "\f");
      case 'x':
        return byte_of(2, 2, 16);
      case 'u':
        return unicode();
      case '0':
      case '1':
      case '2':
      case '3':
        return byte_of(1, 3, 8);
      case '\n':
      case '\r':
      case '\x1B':
        return itself();
      case '%':
      case '&':
      case '\'':
        return before_escape();
      default:
        return means(2, text_.substr(1, 1));
    }
  }

  /// HTML leaves backslashes as they are: in `\&lt;` it means itself.
  TextPiece before_escape() {
    const TextPiece next = Reader(text_.substr(1), complete_, escapes_).piece();
    if (next.length == 0) {
      return open();
    }
    return next.length > 1 ? itself() : means(2, text_.substr(1, 1));
  }

  TextPiece unicode() {
    const std::int64_t first = number_at(text_, 2, 4, 16);
    if (first < 0) {
      return first == -2 ? open() : itself();
    }
    if (first < 0xD800 || first > 0xDBFF) {
      return character(6, static_cast<std::uint32_t>(first));
    }
    for (std::size_t i = 6; i < 8; ++i) {
      if (i >= text_.size()) {
        return open();
      }
      if (text_[i] != (i == 6 ? '\\' : 'u')) {
        return itself();
      }
    }
    const std::int64_t second = number_at(text_, 8, 4, 16);
    if (second == -2) {
      return open();
    }
    if (second < 0xDC00 || second > 0xDFFF) {
      return itself();
    }
    return character(
        12, static_cast<std::uint32_t>(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)));
  }

  TextPiece entity() {
    std::size_t end = 1;
    while (end < text_.size() && end <= k_longest_entity &&
           (std::isalnum(static_cast<unsigned char>(text_[end])) != 0 ||
            (end == 1 && text_[end] == '#'))) {
      ++end;
    }
    if (end > k_longest_entity) {
      return itself();
    }
    if (end == text_.size()) {
      return open();
    }
    if (text_[end] != ';' || end < 3) {
      return itself();
    }
    const std::string_view name = text_.substr(1, end - 1);
    if (name[0] == '#') {
      const bool is_hex = name[1] == 'x' || name[1] == 'X';
      const std::size_t at = is_hex ? 3 : 2;
      const std::int64_t code = at < end ? number_at(text_, at, end - at, is_hex ? 16 : 10) : -1;
      return code < 0 || code > 0x10FFFF ? itself()
                                         : character(end + 1, static_cast<std::uint32_t>(code));
    }
    constexpr std::array<std::pair<std::string_view, char>, 5> k_names{
        {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};
    for (const auto& [known, meaning] : k_names) {
      if (name == known) {
        return means(end + 1, {&meaning, 1});
      }
    }
    const auto found = std::ranges::find(k_latin1, name);
    return found == k_latin1.end()
               ? itself()
               : character(end + 1, 0xA0U + static_cast<std::uint32_t>(found - k_latin1.begin()));
  }

  TextPiece quote() {
    for (const std::string_view closed_and_opened : {R"('\'')", R"('"'"')"}) {
      const std::string_view front = text_.substr(0, closed_and_opened.size());
      if (front == closed_and_opened) {
        return means(front.size(), "'");
      }
      if (closed_and_opened.starts_with(front)) {
        return open();
      }
    }
    return itself();
  }

  TextPiece colour() {
    std::size_t end = 1;
    while (end < text_.size() && end < k_longest_colour) {
      const char c = text_[end];
      if (end == 1 ? c != '[' : (c >= 0x40 && c <= 0x7E) || c < 0x20) {
        break;
      }
      ++end;
    }
    if (end == text_.size()) {
      return open();
    }
    const char last = text_[end];
    return end > 1 && last >= 0x40 && last <= 0x7E ? means(end + 1, "") : itself();
  }

  const std::string_view text_;
  const bool complete_;
  const unsigned escapes_;
};

}  // namespace

bool begins_piece(char byte) {
  return byte == '\n' || byte == '\r' || byte == '\x1B' || escape_of(byte) != 0;
}

bool begins_piece(char byte, char next) {
  switch (byte) {
    case '%':
      return digit_of(next) >= 0;
    case '&':
      return next == '#' || std::isalnum(static_cast<unsigned char>(next)) != 0;
    case '\'':
      return next == '\\' || next == '"';
    default:
      return true;
  }
}

TextPiece read_piece(std::string_view text, bool complete, unsigned escapes) {
  return Reader(text, complete, escapes).piece();
}

std::string meaning_of(std::string_view text, unsigned escapes) {
  std::string out;
  while (!text.empty()) {
    const TextPiece piece = read_piece(text, true, escapes);
    out += piece.text();
    text.remove_prefix(piece.length);
  }
  return out;
}

std::string_view closed_part(std::string_view text) {
  std::size_t closed = 0;
  while (closed < text.size()) {
    const TextPiece piece = read_piece(text.substr(closed), false);
    if (piece.length == 0) {
      break;
    }
    closed += piece.length;
  }
  // Of several backslashes it is not known either which are escapes.
  while (closed > 0 && text[closed - 1] == '\\') {
    --closed;
  }
  return text.substr(0, closed);
}

std::vector<std::string> meanings_of_encodings(std::string_view text) {
  std::vector<std::string> texts{std::string(text)};
  if (text.contains(' ')) {
    texts.emplace_back(text);  // As forms are sent.
    std::ranges::replace(texts.back(), ' ', '+');
  }
  if (text.contains('\'')) {
    texts.emplace_back();  // YAML, SQL.
    for (const char c : text) {
      texts.back() += std::string(c == '\'' ? 2 : 1, c);
    }
  }
  unsigned present = 0;
  for (const char c : text) {
    present |= escape_of(c);
  }
  std::vector<std::string> meanings;
  for (const std::string& written : texts) {
    for (unsigned escapes = 0; escapes <= k_all_escapes; ++escapes) {
      if ((escapes & ~present) != 0) {
        continue;
      }
      std::string meaning = meaning_of(written, escapes);
      if (std::ranges::find(meanings, meaning) == meanings.end()) {
        meanings.push_back(std::move(meaning));
      }
    }
  }
  return meanings;
}

std::string base64_core(std::string_view data, std::size_t phase) {
  const std::string encoded = base64_encode(std::string(phase, '\0') + std::string(data));
  const std::size_t first = phase == 0 ? 0 : phase + 1;
  const std::size_t last = (phase + data.size()) * 8 / 6;
  return encoded.substr(first, last - first);
}

}  // namespace builder
