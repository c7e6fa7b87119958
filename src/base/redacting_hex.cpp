// Secrets in hex, with or without something between the bytes.
#include "base/hex_text.hpp"
#include "base/redactor.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace builder {

namespace {

/// As in ",\n      0x41".
constexpr int k_most_separators = 8;

}  // namespace

void RedactingStream::take_hex(char byte) {
  const bool is_member = is_hex_member(byte);
  const bool was_hex = run_ >= k_likely_hex;
  if (!is_member || (byte == '\n' && !was_hex)) {
    run_ = 0;
    hex_ = Needles::k_start;
    separators_ = 0;
    after_zero_ = false;
    return;
  }
  if (was_hex) {
    step_hex(byte, at_ - 1);
    return;
  }
  if (++run_ == k_likely_hex) {
    for (Position position = at_ - k_likely_hex; position < at_; ++position) {
      step_hex(byte_at(position), position);
    }
  }
}

void RedactingStream::step_hex(char byte, Position position) {
  const Needles& needles = redactor_->hex_;
  const bool was_zero = std::exchange(after_zero_, byte == '0');
  if (const char digit = k_hex_digits[static_cast<unsigned char>(byte)]; digit != 0) {
    separators_ = 0;
    digit_places_.set(digits_, position);
    ++digits_;
    before_zero_ = hex_;
    hex_ = needles.step(hex_, digit);
    if (needles.ends(hex_)) {
      add(digit_places_.in_text(digits_ - needles.match(hex_)), position + 1);
    }
    if (digit_places_.are_many()) {
      // The last digit may be taken back.
      digit_places_.forget_before(first_open_digit());
    }
  } else if (is_hex_x(byte) && was_zero) {
    hex_ = before_zero_;
    --digits_;
  } else if (is_hex_x(byte) || ++separators_ > k_most_separators) {
    hex_ = Needles::k_start;
  }
}

/// What `skip` does, for digits of which no secret's hex begins; behind them comes one more.
bool RedactingStream::skip_digits(std::string_view text) {
  std::array<char, 64> digits{};
  std::size_t length = 0;
  while (length < std::min(digits.size(), text.size()) &&
         (digits[length] = k_hex_digits[static_cast<unsigned char>(text[length])]) != 0) {
    ++length;
  }
  constexpr std::size_t k_worth_it = 8;
  if (length < k_worth_it) {
    return false;
  }
  const Needles& needles = redactor_->hex_;
  const auto skipped = needles.skip(hex_, {digits.data(), length - 1});
  const auto in_text = redactor_->text_.skip(text_, text.substr(0, skipped.bytes));
  if (in_text.bytes == 0) {
    return false;
  }
  hex_ = in_text.bytes == skipped.bytes ? skipped.state
                                        : needles.skip(hex_, {digits.data(), in_text.bytes}).state;
  text_ = in_text.state;
  digit_places_.set(digits_, at_);
  separators_ = 0;
  after_zero_ = false;
  digits_ += in_text.bytes;
  at_ += in_text.bytes;
  meaning_ += in_text.bytes;
  return true;
}

/// Where the hex begins that could become a secret when more follows.
RedactingStream::Position RedactingStream::first_open_digit() const {
  const Needles& needles = redactor_->hex_;
  const Position open = digits_ - needles.depth(hex_);
  return after_zero_ ? std::min(open, digits_ - 1 - needles.depth(before_zero_)) : open;
}

}  // namespace builder
