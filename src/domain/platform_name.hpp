#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

/// What images are for where nobody says otherwise.
inline constexpr std::string_view k_default_platform = "linux/amd64";

/// What images are commonly made for.
inline constexpr auto k_usual_platforms = std::to_array<std::string_view>(
    {"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le",
     "linux/s390x", "linux/riscv64", "windows/amd64"});

/// What is wrong with a list of platforms (`OS/ARCH[/VARIANT]`) with commas between them, a
/// sentence; empty: nothing.
std::string platform_list_fault(std::string_view list);

/// The platforms of a list with commas between them; an empty one where a name is missing.
std::vector<std::string> platforms_in(std::string_view list);

/// A platform as an image index names it: without the variants that go without saying.
struct PlatformParts {
  std::string system;
  std::string machine;
  std::string variant;  ///< Mostly empty.

  bool operator==(const PlatformParts&) const = default;
};

PlatformParts platform_parts(std::string_view platform);

/// A platform as part of a name: `linux-arm-v7`.
std::string platform_word(std::string_view platform);

/// Whether two platforms are of the same system and machine, whatever they are called and whatever
/// the variant.
bool is_same_machine(std::string_view left, std::string_view right);

}  // namespace builder::domain
