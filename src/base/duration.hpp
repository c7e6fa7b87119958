#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace builder {

/// "90", "90s", "30m", "2h", "1d". nullopt for anything else, and for what is longer.
std::optional<std::chrono::seconds> parse_duration(
    std::string_view text, std::chrono::seconds longest = std::chrono::days(7));

}  // namespace builder
