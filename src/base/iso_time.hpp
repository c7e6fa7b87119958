#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace builder {

using MillisecondTime = std::chrono::sys_time<std::chrono::milliseconds>;

/// `2026-11-29T17:20:01.123Z`.
std::string iso_time(MillisecondTime time);

/// Of a date (midnight), or of a date and a time with or without a part of a second, in UTC:
/// `2026-11-29`, `2026-11-29T17:20:01Z`, `2026-11-29 17:20:01.1`. nullopt: anything else.
std::optional<MillisecondTime> parse_iso_time(std::string_view text);

}  // namespace builder
