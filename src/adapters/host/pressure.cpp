#include "adapters/host/pressure.hpp"

#include "adapters/host/cgroup_tree.hpp"

#include <charconv>

namespace builder::adapters::host {

std::optional<double> parse_pressure(std::string_view text) {
  constexpr std::string_view k_start = "some avg10=";
  const auto found = text.find(k_start);
  if (found == std::string_view::npos) {
    return std::nullopt;
  }
  double value = 0;
  const auto parsed =
      std::from_chars(text.data() + found + k_start.size(), text.data() + text.size(), value);
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<double> pressure(const std::string& resource) {
  // A kernel that was told not to measure has the file, but does not let it be read.
  return parse_pressure(read_control("/proc/pressure/" + resource));
}

}  // namespace builder::adapters::host
