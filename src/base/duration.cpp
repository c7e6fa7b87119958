#include "base/duration.hpp"

#include <charconv>
#include <cstdint>

namespace builder {

std::optional<std::chrono::seconds> parse_duration(std::string_view text,
                                                   std::chrono::seconds longest) {
  std::int64_t parsed = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, parsed);
  const std::string_view unit(stopped, end);
  const std::int64_t scale = unit.empty() || unit == "s" ? 1
                             : unit == "m"               ? 60
                             : unit == "h"               ? 3600
                             : unit == "d"               ? 24 * 3600
                                                         : 0;
  if (error != std::errc() || scale == 0 || parsed < 0 || parsed > longest.count() / scale) {
    return std::nullopt;
  }
  return std::chrono::seconds(parsed * scale);
}

}  // namespace builder
