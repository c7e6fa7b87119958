#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace builder::adapters::host {

/// `some avg10` of a file of /proc/pressure: the percentage of the last ten seconds in which at
/// least one process waited for the resource.
std::optional<double> parse_pressure(std::string_view text);

/// `resource`: memory, io or cpu. nullopt when the kernel does not tell.
std::optional<double> pressure(const std::string& resource);

}  // namespace builder::adapters::host
