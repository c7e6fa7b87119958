#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;

  auto operator<=>(const Version&) const = default;
};

/// Reads "0.34.2", "v0.34.2-rc1", "20.10.24+dfsg1", "0.8". nullopt if the text is no version, and
/// for the 0.0.0 of a program that was built without one.
std::optional<Version> parse_version(std::string_view text);

/// A program that handles what customers send.
struct Component {
  std::string name;     ///< "git", "BuildKit", "runc" or "Docker Engine".
  std::string version;  ///< As it says itself.

  bool operator==(const Component&) const = default;
};

/// The published holes of this version, for the operator: one line each, with the version that
/// mends it. A component whose version cannot be read gets a line that says so. Fixes that a
/// distribution made under an old number are not seen.
std::vector<std::string> advisories(const Component& component);

}  // namespace builder::domain
