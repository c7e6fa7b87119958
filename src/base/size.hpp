#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace builder {

/// "20GiB", "512 MiB", "4g", "1000": whole numbers of bytes, in powers of 1024 whatever the unit's
/// spelling. nullopt for anything else.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// "3.2 GiB".
std::string format_size(std::uint64_t bytes);

/// "814 B", "12.3 kB", "57.3 MB": as engines and registries count, in powers of 1000.
std::string bytes_in_words(std::uint64_t bytes);

}  // namespace builder
