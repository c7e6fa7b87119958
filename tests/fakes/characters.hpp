#pragma once

#include "base/utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string_view>

namespace builder::fakes {

/// How many characters the platform's column counts.
inline std::size_t characters_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, std::not_fn(is_continuation)));
}

}  // namespace builder::fakes
