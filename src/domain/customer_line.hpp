#pragma once

#include "base/text.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace builder::domain {

/// The size of the platform's column for the line of a failure.
inline constexpr std::size_t k_customer_limit = 191;

/// The customer's line, cut to that size.
inline std::string customer_line(std::string_view text) {
  return truncate_characters(text, k_customer_limit);
}

}  // namespace builder::domain
