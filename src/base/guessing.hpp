#pragma once

#include <string_view>

namespace builder {

/// How hard a value is to guess for somebody who tries words and numbers, in bits. This rough
/// figure tells keys from names. A word counts little, however long it is; a run of one character
/// counts hardly anything.
double guessing_bits(std::string_view value);

}  // namespace builder
