#include "base/guessing.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace builder {

namespace {

enum class Class { lower, upper, digit, other };

Class class_of(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (std::islower(byte) != 0) {
    return Class::lower;
  }
  if (std::isupper(byte) != 0) {
    return Class::upper;
  }
  return std::isdigit(byte) != 0 ? Class::digit : Class::other;
}

/// Of a run of characters of one class.
double bits_of(std::string_view run, Class what) {
  constexpr double k_letter = 4.7;
  constexpr double k_digit = 3.3;
  const auto length = static_cast<double>(run.size());
  if (std::ranges::all_of(run, [&](char c) { return c == run.front(); })) {
    return what == Class::other ? 1 : k_letter + length * 0.1;
  }
  switch (what) {
    case Class::digit:
      return k_digit * length;
    case Class::other:
      return length;
    default:
      // A word; longer ones are several, or none.
      return length < 3 ? k_letter * length
                        : std::min(k_letter * length, 6 + length * (length > 12 ? 2.0 : 0.5));
  }
}

}  // namespace

double guessing_bits(std::string_view value) {
  double bits = 0;
  while (!value.empty()) {
    std::size_t length = 1;
    Class what = class_of(value.front());
    while (length < value.size()) {
      const Class next = class_of(value[length]);
      // A capital letter belongs to the word behind it.
      if (length == 1 && what == Class::upper && next == Class::lower) {
        what = Class::lower;
      } else if (next != what) {
        break;
      }
      ++length;
    }
    bits += bits_of(value.substr(0, length), what);
    value.remove_prefix(length);
  }
  return bits;
}

}  // namespace builder
