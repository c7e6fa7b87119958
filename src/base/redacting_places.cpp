// Where in the text stands what the stream has read out of it.
#include "base/redactor.hpp"

#include <algorithm>

namespace builder {

RedactingStream::Position RedactingStream::Places::in_text(Position read) const {
  const auto behind = std::ranges::upper_bound(breaks_, read, {}, &Break::read);
  const Break& before = *(behind - 1);
  return before.text + (read - before.read);
}

void RedactingStream::Places::add(Break next) {
  if (breaks_.back().read == next.read) {
    breaks_.back() = next;
  } else {
    breaks_.push_back(next);
  }
}

void RedactingStream::Places::forget_before(Position read) {
  const auto behind = std::ranges::upper_bound(breaks_, read, {}, &Break::read);
  breaks_.erase(breaks_.begin(), behind - 1);
  many_ = std::max(k_few, 2 * breaks_.size());
}

}  // namespace builder
