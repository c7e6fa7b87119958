// How the stream goes over a text, what it keeps back, and what comes out.
#include "base/hex_text.hpp"
#include "base/redactor.hpp"
#include "base/text_forms.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace builder {

namespace {

/// A row that ends with so much of an encoded secret was wrapped there.
constexpr std::size_t k_wrapped = 8;

const std::array<bool, 256> k_stops = [] {
  std::array<bool, 256> stops{};
  for (unsigned c = 0; c < stops.size(); ++c) {
    stops[c] = begins_piece(static_cast<char>(c));
  }
  return stops;
}();

bool is_stop(char byte) {
  return k_stops[static_cast<unsigned char>(byte)];
}

/// A row of bytes that the compiler looks at in one go; some that are no stops are among those it
/// finds.
bool may_have_stop(const char* block, std::size_t size) {
  unsigned char found = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(block[i]);
    found |= static_cast<unsigned char>((byte < 0x20) | ((byte & 0xFCU) == 0x24) | (byte == '\\'));
  }
  return found != 0;
}

std::size_t first_stop(std::string_view text) {
  constexpr std::size_t k_block = 16;
  std::size_t at = 0;
  while (at + k_block <= text.size() && !may_have_stop(text.data() + at, k_block)) {
    at += k_block;
  }
  while (at < text.size() && !is_stop(text[at])) {
    ++at;
  }
  return at;
}

/// How many of the last bytes hex may consist of.
std::size_t members_at_end(std::string_view text) {
  std::size_t members = 0;
  while (members < text.size() && is_hex_member(text[text.size() - 1 - members])) {
    ++members;
  }
  return members;
}

}  // namespace

std::string RedactingStream::feed(std::string_view chunk) {
  buffer_ += chunk;
  scan(false);
  emit(first_open());
  if (base_ > first_) {
    before_ = byte_at(base_ - 1);
    buffer_.erase(0, base_ - first_);
    first_ = base_;
  }
  return std::exchange(out_, {});
}

std::string RedactingStream::finish() {
  scan(true);
  end_row();
  std::string out = std::exchange(out_, {});
  auto* const found = found_;
  *this = RedactingStream(std::move(redactor_));
  found_ = found;
  return out;
}

void RedactingStream::scan(bool complete) {
  const Position end = first_ + buffer_.size();
  while (at_ < end) {
    const std::string_view rest = std::string_view(buffer_).substr(at_ - first_);
    if (is_stop(rest.front())) {
      const TextPiece piece = read_piece(rest, complete);
      if (piece.length == 0) {
        return;
      }
      take(piece.length, piece.text());
      if (rest.front() == '\n') {
        end_row();
      }
    } else if (apart_ || is_reading_shape()) {
      take_plain(rest.front());
    } else if (!can_skip() || !skip(rest)) {
      walk(rest);
    }
  }
}

/// What `take_plain` does, for the bytes in front that change nothing else; whether there are any.
bool RedactingStream::skip(std::string_view text) {
  if (run_ >= k_likely_hex) {
    return skip_digits(text);
  }
  if (plain_ <= at_) {
    plain_ = at_ + plain_bytes(text);
  }
  text = text.substr(0, plain_ - at_);
  const auto skipped = redactor_->text_.skip(text_, text);
  text_ = skipped.state;
  at_ += skipped.bytes;
  meaning_ += skipped.bytes;
  const std::size_t members = members_at_end(text.substr(0, skipped.bytes));
  run_ = static_cast<std::uint32_t>(members < skipped.bytes ? members : run_ + members);
  return skipped.bytes > 0;
}

/// How many of the next bytes are no stops and do not make hex likely.
std::size_t RedactingStream::plain_bytes(std::string_view text) const {
  constexpr std::size_t k_most = 1'024;
  text = text.substr(0, std::min(k_most, text.size()));
  std::size_t end = first_stop(text);
  while (end + 1 < text.size() && !begins_piece(text[end], text[end + 1])) {
    end += 1 + first_stop(text.substr(end + 1));
  }
  text = text.substr(0, end);
  std::size_t run = run_;
  for (std::size_t at = 0; at + k_likely_hex - run <= text.size();) {
    at += k_likely_hex - run;
    const std::size_t members = members_at_end(text.substr(0, at));
    run = members < at ? members : run_ + members;
    if (run >= k_likely_hex) {
      return at - 1;
    }
  }
  return text.size();
}

/// What `take_plain` does, for the first byte and the next ones until they can be skipped.
void RedactingStream::walk(std::string_view text) {
  const Needles& needles = redactor_->text_;
  for (const char byte : text) {
    if (is_stop(byte)) {
      return;
    }
    ++at_;
    if (run_ > 0 || is_hex_member(byte)) {
      take_hex(byte);
    }
    if (url_.active) {
      take_url(byte);
    }
    text_ = needles.step(text_, byte);
    ++meaning_;
    if (needles.ends(text_)) {
      arrived(text_, at_);
    }
    // Digits of hex seldom come in rows: not each is worth a look.
    if (is_reading_shape() || ((run_ < k_likely_hex || at_ % 16 == 0) && can_skip())) {
      return;
    }
  }
}

/// The next byte of the text, which means itself.
void RedactingStream::take_plain(char byte) {
  ++at_;
  take_raw(byte);
  text_ = redactor_->text_.step(text_, byte);
  ++meaning_;
  arrived(text_, at_);
  apart_ = apart_ && raw_ != text_;
}

/// The next bytes of the text, and what they mean.
void RedactingStream::take(std::size_t length, std::string_view meaning) {
  const Position begin = at_;
  const Position end = at_ + length;
  const bool same = length == 1 && meaning.size() == 1 && meaning[0] == byte_at(begin);
  if (!same && !apart_) {
    apart_ = true;
    raw_ = text_;
  }
  while (at_ < end) {
    const char byte = byte_at(at_);
    ++at_;
    take_raw(byte);
  }
  for (const char byte : meaning) {
    text_ = redactor_->text_.step(text_, byte);
    ++meaning_;
    arrived(text_, end);
  }
  places_.set(meaning_, end);
  apart_ = apart_ && raw_ != text_;
  if (places_.are_many()) {
    places_.forget_before(meaning_ - redactor_->text_.depth(text_));
  }
}

void RedactingStream::take_raw(char byte) {
  if (run_ > 0 || is_hex_member(byte)) {
    take_hex(byte);
  }
  if (token_.active) {
    take_token(byte);
  }
  if (url_.active) {
    take_url(byte);
  }
  if (authorization_.part != Authorization::Part::none) {
    take_authorization(byte);
  }
  if (apart_) {
    raw_ = redactor_->text_.step(raw_, byte);
    if (redactor_->text_.ends(raw_)) {
      add(at_ - std::min<Position>(at_, redactor_->text_.match(raw_)), at_);
    }
  }
}

/// A state of the meaning, that of the bytes up to `end`.
void RedactingStream::arrived(Needles::State state, Position end) {
  const Needles& needles = redactor_->text_;
  if (!needles.ends(state)) {
    return;
  }
  if (const std::size_t match = needles.match(state); match > 0) {
    add(places_.in_text(meaning_ - match), end);
  }
  constexpr std::uint8_t k_shapes =
      Needles::k_token | Needles::k_url | Needles::k_http | Needles::k_authorization;
  if (const std::uint8_t kinds = needles.kinds(state); (kinds & k_shapes) != 0) {
    begin_shapes(kinds, end);
  }
}

/// Everything up to here comes out; what goes on in the next row is lost by this one.
void RedactingStream::end_row() {
  end_url();
  if (token_.active && at_ >= token_.enough) {
    add(token_.begin, at_);
  }
  token_.active = false;
  using Part = Authorization::Part;
  if ((authorization_.part == Part::word || authorization_.part == Part::value) &&
      at_ - authorization_.begin >= Redactor::k_shortest_secret) {
    add(authorization_.begin, at_);
  }
  authorization_.part = Part::none;
  const bool has_end = at_ > base_ && byte_at(at_ - 1) == '\n';
  const Position end = at_ - (has_end ? 1 : 0);
  if (const std::size_t depth = redactor_->text_.encoded_depth(text_); depth >= k_wrapped) {
    add(places_.in_text(meaning_ - depth), end);
  }
  if (const std::size_t depth = redactor_->hex_.depth(hex_); depth >= 2 * k_wrapped) {
    add(digit_places_.in_text(digits_ - depth), end);
  }
  emit(at_);
}

void RedactingStream::add(Position begin, Position end) {
  begin = std::max(begin, base_);
  if (begin < end) {
    add_region(regions_, {begin, end});
  }
}

/// Where the part begins that could become a secret when more text follows.
RedactingStream::Position RedactingStream::first_open() const {
  const Needles& needles = redactor_->text_;
  Position open = std::min(at_, places_.in_text(meaning_ - needles.depth(text_)));
  if (apart_) {
    open = std::min(open, at_ - std::min<Position>(at_, needles.depth(raw_)));
  }
  if (run_ < k_likely_hex) {
    open = std::min(open, at_ - run_);
  } else if (const Position digit = first_open_digit(); digit < digits_) {
    open = std::min(open, digit_places_.in_text(digit));
  }
  if (token_.active) {
    open = std::min(open, token_.begin);
  }
  if (url_.active) {
    open = std::min(open, url_.begin);
  }
  using Part = Authorization::Part;
  if (authorization_.part == Part::word || authorization_.part == Part::value) {
    open = std::min(open, authorization_.begin);
  }
  return std::max(open, base_);
}

void RedactingStream::emit(Position safe) {
  std::size_t closed = 0;
  while (closed < regions_.size() && regions_[closed].end <= safe) {
    ++closed;
  }
  if (closed < regions_.size()) {
    safe = std::min(safe, regions_[closed].begin);
  }
  Position done = base_;
  for (std::size_t i = 0; i < closed; ++i) {
    const Redactor::Region& region = regions_[i];
    if (found_ == nullptr) {
      out_.append(buffer_, done - first_, region.begin - done);
      out_ += Redactor::k_replacement;
    } else {
      found_->push_back(region);
    }
    done = region.end;
  }
  if (found_ == nullptr) {
    out_.append(buffer_, done - first_, safe - done);
  }
  regions_.erase(regions_.begin(), regions_.begin() + static_cast<std::ptrdiff_t>(closed));
  base_ = safe;
}

}  // namespace builder
