#pragma once

#include "domain/customer_line.hpp"

#include <cstddef>

namespace builder::adapters::dashboard {

/// Longer error texts are silently lost by the platform.
inline constexpr std::size_t k_error_characters = domain::k_customer_limit;
/// The platform stores 65,535 bytes of a log row; what stays below leaves room for what it may add.
inline constexpr std::size_t k_log_bytes = 60'000;

}  // namespace builder::adapters::dashboard
