#include "base/size.hpp"

#include "base/ascii.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

namespace builder {

namespace {

constexpr std::array<std::string_view, 5> k_units{"B", "KiB", "MiB", "GiB", "TiB"};

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc()) {
    return std::nullopt;
  }
  std::string unit(stopped, end);
  std::erase(unit, ' ');
  unit = lower_case(unit);
  if (unit.empty() || unit == "b") {
    return value;
  }
  constexpr std::string_view k_letters = "kmgt";
  const auto letter = k_letters.find(unit.front());
  if (letter == std::string_view::npos ||
      (unit.size() > 1 && unit.substr(1) != "b" && unit.substr(1) != "ib")) {
    return std::nullopt;
  }
  const std::size_t power = letter + 1;
  for (std::size_t i = 0; i < power; ++i) {
    if (value > std::numeric_limits<std::uint64_t>::max() / 1024) {
      return std::nullopt;
    }
    value *= 1024;
  }
  return value;
}

std::string format_size(std::uint64_t bytes) {
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < k_units.size()) {
    value /= 1024;
    ++unit;
  }
  std::string number = fmt::format("{:.1f}", value);
  if (number.ends_with(".0")) {
    number.resize(number.size() - 2);
  }
  return number + " " + std::string(k_units.at(unit));
}

std::string bytes_in_words(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 4> k_decimal_units{"kB", "MB", "GB", "TB"};
  if (bytes < 1'000) {
    return fmt::format("{} B", bytes);
  }
  double number = static_cast<double>(bytes) / 1e3;
  std::size_t unit = 0;
  // 999,950 would be printed as 1000.0 kB.
  for (; number >= 999.95 && unit + 1 < k_decimal_units.size(); ++unit) {
    number /= 1e3;
  }
  return fmt::format("{:.1f} {}", number, k_decimal_units.at(unit));
}

}  // namespace builder
