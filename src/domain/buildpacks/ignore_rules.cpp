#include "domain/buildpacks/ignore_rules.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace builder::domain::buildpacks {

namespace {

constexpr std::string_view k_any_depth = "**";

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) {
      parts.push_back(path.substr(0, slash));
    }
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return parts;
}

/// Whether `c` is in the set that starts behind a '['; where the set ends goes to `pattern`.
/// nullopt: the bracket is never closed and stands for itself.
std::optional<bool> in_set(std::string_view& pattern, unsigned char c) {
  std::string_view rest = pattern;
  const bool inverted = !rest.empty() && (rest.front() == '!' || rest.front() == '^');
  if (inverted) {
    rest.remove_prefix(1);
  }
  bool found = false;
  for (bool first = true; !rest.empty() && (first || rest.front() != ']'); first = false) {
    if (rest.front() == '\\' && rest.size() > 1) {
      rest.remove_prefix(1);
    }
    const auto low = static_cast<unsigned char>(rest.front());
    auto high = low;
    rest.remove_prefix(1);
    if (rest.size() > 1 && rest[0] == '-' && rest[1] != ']') {
      high = static_cast<unsigned char>(rest[1]);
      rest.remove_prefix(2);
    }
    found = found || (c >= low && c <= high);
  }
  if (rest.empty()) {
    return std::nullopt;
  }
  pattern = rest.substr(1);
  return found != inverted;
}

/// Matches one character; takes what stands for it from the front of `pattern`.
bool match_one(std::string_view& pattern, char c) {
  const char p = pattern.front();
  pattern.remove_prefix(1);
  if (p == '?') {
    return true;
  }
  if (p == '[') {
    if (const auto found = in_set(pattern, static_cast<unsigned char>(c))) {
      return *found;
    }
    return c == '[';
  }
  if (p == '\\' && !pattern.empty()) {
    const char escaped = pattern.front();
    pattern.remove_prefix(1);
    return escaped == c;
  }
  return p == c;
}

/// One part of a path. Goes back to the last star only: never exponential.
bool match_part(std::string_view pattern, std::string_view text) {
  std::optional<std::pair<std::string_view, std::string_view>> star;
  while (!text.empty()) {
    if (!pattern.empty() && pattern.front() == '*') {
      pattern.remove_prefix(1);
      star = {pattern, text};
      continue;
    }
    if (!pattern.empty() && match_one(pattern, text.front())) {
      text.remove_prefix(1);
      continue;
    }
    if (!star) {
      return false;
    }
    star->second.remove_prefix(1);
    pattern = star->first;
    text = star->second;
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

/// The whole path, in the same way: `**` is the star.
bool match_parts(std::span<const std::string> pattern, std::span<const std::string_view> path) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::optional<std::pair<std::size_t, std::size_t>> star;
  while (t < path.size()) {
    if (p < pattern.size() && pattern[p] == k_any_depth) {
      star = {++p, t};
      continue;
    }
    if (p < pattern.size() && match_part(pattern[p], path[t])) {
      ++p;
      ++t;
      continue;
    }
    if (!star) {
      return false;
    }
    p = star->first;
    t = ++star->second;
  }
  // `a/**` means what is in a, not a itself.
  return p == pattern.size();
}

}  // namespace

IgnoreRules::IgnoreRules(const std::vector<std::string>& lines) {
  for (std::string_view line : lines) {
    while (line.ends_with('\r') || line.ends_with('\n') ||
           (line.ends_with(' ') && !line.ends_with("\\ "))) {
      line.remove_suffix(1);
    }
    if (line.empty() || line.front() == '#') {
      continue;
    }
    Rule rule;
    if (line.front() == '!') {
      rule.negated = true;
      line.remove_prefix(1);
    }
    if (line.ends_with('/')) {
      rule.folders_only = true;
      line.remove_suffix(1);
    }
    if (parts_of(line).empty()) {
      continue;
    }
    if (!line.contains('/')) {
      rule.parts.emplace_back(k_any_depth);
    }
    for (const std::string_view part : parts_of(line)) {
      if (part != "." &&
          (part != k_any_depth || rule.parts.empty() || rule.parts.back() != k_any_depth)) {
        rule.parts.emplace_back(part);
      }
    }
    if (!rule.parts.empty()) {
      rules_.push_back(std::move(rule));
    }
  }
}

bool IgnoreRules::matches_rule(const Rule& rule, std::string_view path, bool is_folder) {
  const std::vector<std::string_view> parts = parts_of(path);
  for (std::size_t count = 1; count <= parts.size(); ++count) {
    const bool folder = count < parts.size() || is_folder;
    if ((folder || !rule.folders_only) && match_parts(rule.parts, std::span(parts).first(count))) {
      return true;
    }
  }
  return false;
}

bool IgnoreRules::matches(std::string_view path, bool is_folder) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (matches_rule(*rule, path, is_folder)) {
      return !rule->negated;
    }
  }
  return false;
}

}  // namespace builder::domain::buildpacks
