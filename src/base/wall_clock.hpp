#pragma once

#include <chrono>
#include <ctime>
#include <optional>

namespace builder {

/// A time that a peer has named, in seconds since 1970. nullopt: before that, or from 2200 on; the
/// system's clock counts nanoseconds in 64 bits, which end with 2262.
inline std::optional<std::chrono::system_clock::time_point> wall_clock(std::time_t seconds) {
  constexpr std::time_t k_year_2200 = 7'258'118'400;
  return seconds < 0 || seconds >= k_year_2200
             ? std::nullopt
             : std::optional(std::chrono::system_clock::from_time_t(seconds));
}

}  // namespace builder
