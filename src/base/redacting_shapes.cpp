// What looks like a credential by its shape: known keys, logins in URLs, Authorization values.
#include "base/credential_shapes.hpp"
#include "base/redactor.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace builder {

namespace {

/// Longer words are no credentials of a known shape.
constexpr std::size_t k_longest_word = 4'096;

constexpr std::array<std::string_view, 6> k_schemes{"Basic", "Bearer", "Token",
                                                    "basic", "bearer", "token"};

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool is_space(char c) {
  return is_blank(c) || c == '\n' || c == '\r';
}

bool ends_url(char c) {
  return is_space(c) || c == '"' || c == '\'' || c == '`' || c == '<' || c == '>';
}

}  // namespace

void RedactingStream::begin_shapes(std::uint8_t kinds, Position end) {
  if ((kinds & Needles::k_token) != 0 && !token_.active) {
    for (const TokenShape& shape : k_token_shapes) {
      const Position from = end - std::min<Position>(end, shape.prefix.size());
      if (from < base_ ||
          std::string_view(buffer_).substr(from - first_, end - from) != shape.prefix) {
        continue;
      }
      if (!is_token_char(from == first_ ? before_ : byte_at(from - 1))) {
        token_ = {.active = true, .begin = from, .enough = end + shape.shortest};
      }
    }
  }
  if ((kinds & (Needles::k_url | Needles::k_http)) != 0) {
    end_url();
    url_ = {.active = true, .http = (kinds & Needles::k_http) != 0, .begin = end, .at_sign = end};
  }
  if ((kinds & Needles::k_authorization) != 0) {
    authorization_ = {.part = Authorization::Part::colon};
  }
}

void RedactingStream::take_token(char byte) {
  const Position here = at_ - 1;
  const bool ends = !is_token_char(byte);
  if (ends || here - token_.begin >= k_longest_word) {
    if (here >= token_.enough) {
      add(token_.begin, here);
    }
    token_.active = !ends;
    token_.begin = here;
    token_.enough = here;
  }
}

void RedactingStream::take_url(char byte) {
  const Position here = at_ - 1;
  if (ends_url(byte) || here - url_.begin >= k_longest_word) {
    end_url();
    return;
  }
  switch (byte) {
    case '[':
      url_.brackets = url_.brackets || here == url_.begin;
      break;
    case ']':
      url_.brackets = false;
      break;
    case ':':
      url_.colon = url_.colon || (!url_.slash && !url_.brackets);
      break;
    case '/':
    case '?':
    case '#':
      // "host:8080/", or a password with a slash in it.
      if (!url_.slash && (!url_.colon || url_.port) && url_.at_sign == url_.begin) {
        url_.active = false;
      }
      url_.slash = true;
      break;
    case '@':
      if (!url_.slash ? url_.colon || url_.http : url_.colon && url_.at_sign == url_.begin) {
        url_.at_sign = here;
      }
      break;
    default:
      break;
  }
  if (url_.colon && !url_.slash && byte != ':' &&
      std::isdigit(static_cast<unsigned char>(byte)) == 0) {
    url_.port = false;
  }
}

void RedactingStream::end_url() {
  if (url_.active && url_.at_sign > url_.begin) {
    add(url_.begin, url_.at_sign);
  }
  url_.active = false;
}

void RedactingStream::take_authorization(char byte) {
  using Part = Authorization::Part;
  const Position here = at_ - 1;
  const bool is_mark = byte == '"' || byte == '\'' || byte == '\\';
  switch (authorization_.part) {
    case Part::none:
      return;
    case Part::colon:
      if (byte == ':' || byte == '=') {
        authorization_.part = Part::blanks;
      } else if (!is_mark) {
        authorization_.part = Part::none;
      }
      return;
    case Part::blanks:
    case Part::blanks_of_value:
      if (is_blank(byte) || is_mark) {
        return;
      }
      if (is_space(byte)) {
        authorization_.part = Part::none;
        return;
      }
      authorization_.begin = here;
      authorization_.part = authorization_.part == Part::blanks ? Part::word : Part::value;
      return;
    case Part::word:
    case Part::value:
      break;
  }
  const std::size_t length = here - authorization_.begin;
  if (!is_space(byte) && !is_mark && length < k_longest_word) {
    return;
  }
  const std::string_view word =
      std::string_view(buffer_).substr(authorization_.begin - first_, length);
  if (authorization_.part == Part::word && is_blank(byte) &&
      std::ranges::find(k_schemes, word) != k_schemes.end()) {
    authorization_.part = Part::blanks_of_value;
    return;
  }
  if (length >= Redactor::k_shortest_secret) {
    add(authorization_.begin, here);
  }
  authorization_.begin = here;
  authorization_.part =
      length >= k_longest_word && !is_space(byte) && !is_mark ? Part::value : Part::none;
}

}  // namespace builder
