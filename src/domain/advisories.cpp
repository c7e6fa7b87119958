#include "domain/advisories.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace builder::domain {

namespace {

struct Advisory {
  std::string_view component;
  std::string_view what;
  /// The first good release of each line that got one, ascending. Lines between them and above the
  /// last are compared with the last.
  std::array<Version, 8> fixed;
};

/// Only what a customer's repository, Dockerfile or build step can use. Sources: the projects'
/// advisories on GitHub (git/git, opencontainers/runc, moby/buildkit, moby/moby).
constexpr std::array<Advisory, 5> k_advisories{{
    {"git",
     "CVE-2025-48384 and CVE-2025-48385 (a repository or its server writes files of its choice)",
     {{{2, 43, 7},
       {2, 44, 4},
       {2, 45, 4},
       {2, 46, 4},
       {2, 47, 3},
       {2, 48, 2},
       {2, 49, 1},
       {2, 50, 1}}}},
    {"BuildKit",
     "CVE-2024-23651, CVE-2024-23652 and CVE-2024-23653 (a build reads, deletes or runs things on "
     "the host)",
     {{{0, 12, 5}}}},
    {"BuildKit",
     "CVE-2026-33747 and CVE-2026-33748 (a frontend or a Git URL reaches files outside of the "
     "build)",
     {{{0, 28, 1}}}},
    {"runc",
     "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 (a build step gets out of its container)",
     {{{1, 2, 8}, {1, 3, 3}, {1, 4, 0}}}},
    {"Docker Engine", "its line has had no security fixes since December 2023", {{{23, 0, 0}}}},
}};

bool concerns(const Advisory& advisory, const Version& version) {
  const auto is_set = [](const Version& fixed) { return fixed != Version{}; };
  const auto same_line = std::ranges::find_if(advisory.fixed, [&](const Version& fixed) {
    return is_set(fixed) && fixed.major == version.major && fixed.minor == version.minor;
  });
  const Version& needed =
      same_line != advisory.fixed.end() ? *same_line : std::ranges::max(advisory.fixed);
  return version < needed;
}

std::string fixed_in(const Advisory& advisory) {
  std::vector<std::string> versions;
  for (const Version& fixed : advisory.fixed) {
    if (fixed != Version{}) {
      versions.push_back(fmt::format("{}.{}.{}", fixed.major, fixed.minor, fixed.patch));
    }
  }
  return fmt::format("{}", fmt::join(versions, ", "));
}

}  // namespace

std::optional<Version> parse_version(std::string_view text) {
  if (text.starts_with('v')) {
    text.remove_prefix(1);
  }
  Version version;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](int& into) {
    const auto read = std::from_chars(at, end, into);
    at = read.ptr;
    return read.ec == std::errc() && into >= 0;
  };
  const auto dot = [&] {
    const bool is_there = at != end && *at == '.';
    at += is_there ? 1 : 0;
    return is_there && at != end;
  };
  if (!number(version.major) || !dot() || !number(version.minor)) {
    return std::nullopt;
  }
  if (dot() && !number(version.patch)) {
    version.patch = 0;
  }
  return version == Version{} ? std::nullopt : std::optional(version);
}

std::vector<std::string> advisories(const Component& component) {
  const auto version = parse_version(component.version);
  if (!version) {
    return {fmt::format("{} does not tell its version ({}): it counts as the oldest",
                        component.name,
                        component.version.empty() ? "it says nothing" : component.version)};
  }
  std::vector<std::string> lines;
  for (const Advisory& advisory : k_advisories) {
    if (advisory.component == component.name && concerns(advisory, *version)) {
      lines.push_back(fmt::format("{} {}: {}; fixed in {}", component.name, component.version,
                                  advisory.what, fixed_in(advisory)));
    }
  }
  return lines;
}

}  // namespace builder::domain
