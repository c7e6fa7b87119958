#include "domain/buildpacks/ignore_rules.hpp"

#include <algorithm>
#include <optional>
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

/// Git compares bytes.
char32_t byte(char c) {
  return static_cast<unsigned char>(c);
}

/// The set that starts behind a '['; where it ends goes to `pattern`. nullopt: the bracket is never
/// closed and stands for itself.
std::optional<CharacterSet> parse_set(std::string_view& pattern) {
  std::string_view rest = pattern;
  CharacterSet set;
  set.negated = !rest.empty() && (rest.front() == '!' || rest.front() == '^');
  if (set.negated) {
    rest.remove_prefix(1);
  }
  for (bool first = true; !rest.empty() && (first || rest.front() != ']'); first = false) {
    if (rest.front() == '\\' && rest.size() > 1) {
      rest.remove_prefix(1);
    }
    const char low = rest.front();
    char high = low;
    rest.remove_prefix(1);
    if (rest.size() > 1 && rest[0] == '-' && rest[1] != ']') {
      high = rest[1];
      rest.remove_prefix(2);
    }
    set.ranges.push_back({.low = byte(low), .high = byte(high)});
  }
  if (rest.empty()) {
    return std::nullopt;
  }
  pattern = rest.substr(1);
  return set;
}

/// Appends one part of a pattern.
void parse_part(std::string_view part, std::u32string& symbols, CharacterSets& sets) {
  while (!part.empty()) {
    const char c = part.front();
    part.remove_prefix(1);
    if (c == '*') {
      if (!symbols.ends_with(PathSymbol::k_star)) {
        symbols += PathSymbol::k_star;
      }
    } else if (c == '?') {
      symbols += PathSymbol::k_any;
    } else if (c == '[') {
      auto set = parse_set(part);
      symbols += set ? sets.symbol(*std::move(set)) : byte(c);
    } else if (c == '\\' && !part.empty()) {
      symbols += byte(part.front());
      part.remove_prefix(1);
    } else {
      symbols += byte(c);
    }
  }
}

/// What a rule of these parts matches.
std::u32string parse_rule(const std::vector<std::string_view>& parts, CharacterSets& sets) {
  std::u32string symbols;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool is_last = i + 1 == parts.size();
    if (parts[i] == k_any_depth) {
      // `a/**` means what is in a, not a itself.
      symbols += is_last ? PathSymbol::k_rest : PathSymbol::k_folders;
      continue;
    }
    parse_part(parts[i], symbols, sets);
    if (!is_last) {
      symbols += U'/';
    }
  }
  return symbols;
}

}  // namespace

IgnoreRules::IgnoreRules(const std::vector<std::string>& lines) : automaton_({}, {}) {
  std::vector<PathAutomaton::Pattern> patterns;
  CharacterSets sets;
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
    std::vector<std::string_view> parts;
    if (!line.empty() && !line.contains('/')) {
      parts.push_back(k_any_depth);
    }
    for (const std::string_view part : parts_of(line)) {
      if (part != "." && (part != k_any_depth || parts.empty() || parts.back() != k_any_depth)) {
        parts.push_back(part);
      }
    }
    if (!parts.empty()) {
      patterns.push_back({.symbols = parse_rule(parts, sets),
                          .number = static_cast<PathAutomaton::Number>(rules_.size())});
      rules_.push_back(rule);
    }
  }
  automaton_ = PathAutomaton(std::move(patterns), std::move(sets));
}

bool IgnoreRules::matches(std::string_view path, const Folder& parent, Folder* own,
                          MatchingBudget& budget, const std::stop_token& stop) {
  std::u32string text;
  for (const char c : path.substr(parent.read_)) {
    text += byte(c);
  }
  PathAutomaton::States states =
      automaton_.read(parent.read_ == 0 ? automaton_.start() : parent.states_, text, budget, stop);
  std::optional<PathAutomaton::Number> last = parent.last_;
  std::uint64_t steps = 1;
  automaton_.visit_matches(states, [&](PathAutomaton::Number number) {
    if (own != nullptr || !rules_[number].folders_only) {
      last = std::max(last, std::optional(number));
    }
    ++steps;
  });
  budget.spend(steps);
  if (own != nullptr) {
    own->last_ = last;
    own->states_ = automaton_.read_into_folder(states, budget, stop);
    own->read_ = path.size() + 1;
  }
  return last && !rules_[*last].negated;
}

}  // namespace builder::domain::buildpacks
