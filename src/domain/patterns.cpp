#include "domain/patterns.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace builder::domain {

namespace {

constexpr char32_t k_beyond_unicode = 0x110000;
constexpr std::size_t k_word = 64;

bool has_wildcard(std::string_view text) {
  return text.find_first_of("*?[]^\\") != std::string_view::npos;
}

}  // namespace

std::u32string decode(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_character(text);
    out.push_back(character.valid ? character.code
                                  : k_beyond_unicode + static_cast<unsigned char>(text.front()));
    text.remove_prefix(character.bytes.size());
  }
  return out;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> parts;
  const bool absolute = path.starts_with('/');
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "..") {
      if (!parts.empty() && parts.back() != "..") {
        parts.pop_back();
      } else if (!absolute) {
        parts.push_back(part);
      }
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    begin = end + 1;
  }
  std::string out = absolute ? "/" : "";
  for (const std::string_view part : parts) {
    if (!out.empty() && out.back() != '/') {
      out += '/';
    }
    out += part;
  }
  return out.empty() ? "." : out;
}

namespace {

/// `at` stands on '[' and is left on the closing ']'; nullopt: there is none.
std::optional<CharacterSet> parse_set(std::u32string_view pattern, std::size_t& at) {
  // A class may match '/', as in the regular expression that moby makes of it.
  CharacterSet set{.spans_folders = true};
  std::size_t i = at + 1;
  const auto take = [&] {
    if (pattern[i] == U'\\' && i + 1 < pattern.size()) {
      ++i;
    }
    return pattern[i++];
  };
  if (i < pattern.size() && pattern[i] == U'^') {
    set.negated = true;
    ++i;
  }
  for (bool first = true; i < pattern.size() && (first || pattern[i] != U']'); first = false) {
    CharacterSet::Range range{};
    range.low = take();
    range.high = range.low;
    if (i + 1 < pattern.size() && pattern[i] == U'-' && pattern[i + 1] != U']') {
      ++i;
      range.high = take();
    }
    set.ranges.push_back(range);
  }
  if (i >= pattern.size()) {
    return std::nullopt;
  }
  at = i;
  return set;
}

/// nullopt: it matches nothing.
std::optional<std::u32string> parse_glob(std::string_view pattern, CharacterSets& sets) {
  const std::u32string text = decode(pattern);
  std::u32string symbols;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == U'*' && i + 1 < text.size() && text[i + 1] == U'*') {
      ++i;
      if (i + 1 < text.size() && text[i + 1] == U'/') {
        ++i;
      }
      if (i + 1 == text.size()) {
        symbols += PathSymbol::k_rest;
      } else if (!symbols.ends_with(PathSymbol::k_folders)) {
        // Repetitions add nothing: "**/**/" matches what "**/" does.
        symbols += PathSymbol::k_folders;
      }
    } else if (text[i] == U'*') {
      symbols += PathSymbol::k_star;
    } else if (text[i] == U'?') {
      symbols += PathSymbol::k_any;
    } else if (text[i] == U'[') {
      auto set = parse_set(text, i);
      if (!set) {
        return std::nullopt;
      }
      symbols += sets.symbol(*std::move(set));
    } else {
      if (text[i] == U'\\' && i + 1 < text.size()) {
        ++i;
      }
      symbols += text[i];
    }
  }
  return symbols;
}

PathAutomaton automaton_of(std::string_view glob) {
  std::vector<PathAutomaton::Pattern> patterns;
  CharacterSets sets;
  if (auto symbols = parse_glob(glob, sets)) {
    patterns.push_back({.symbols = *std::move(symbols), .number = 0});
  }
  return {std::move(patterns), std::move(sets)};
}

/// Appends what the line `number` matches.
void add_line(std::string_view text, PathAutomaton::Number number,
              std::vector<PathAutomaton::Pattern>& patterns, CharacterSets& sets) {
  if (!has_wildcard(text)) {
    patterns.push_back({.symbols = decode(text), .number = number});
  } else if (text.starts_with("**") && text.find_first_of("*?[]\\", 2) == std::string_view::npos) {
    // A leading "**" before plain text is a suffix test: "**b" takes "ab", "x/**b" does not.
    const std::string_view tail = text.substr(2);
    patterns.push_back({.symbols = PathSymbol::k_rest + decode(tail), .number = number});
    if (tail.starts_with('/')) {
      patterns.push_back({.symbols = decode(tail.substr(1)), .number = number});
    }
  } else if (auto symbols = parse_glob(text, sets)) {
    patterns.push_back({.symbols = *std::move(symbols), .number = number});
  }
}

}  // namespace

Glob::Glob(std::string_view pattern) : automaton_(automaton_of(pattern)) {
}

bool Glob::matches(std::string_view path) {
  MatchingBudget budget;
  return matches(path, budget);
}

bool Glob::matches(std::string_view path, MatchingBudget& budget) {
  bool found = false;
  automaton_.visit_matches(automaton_.read(automaton_.start(), decode(path), budget, {}),
                           [&found](auto) { found = true; });
  return found && !budget.exhausted();
}

void PatternList::Reach::add(std::string_view pattern) {
  for (const std::string_view tail : {"/**", "/*"}) {
    if (pattern.size() > tail.size() && pattern.ends_with(tail)) {
      pattern.remove_suffix(tail.size());
    }
  }
  everywhere_ = everywhere_ || has_wildcard(pattern);
  folders_.emplace_back(pattern);
}

void PatternList::Reach::finish() {
  std::ranges::sort(folders_);
}

bool PatternList::Reach::reach_below(std::string_view folder) const {
  if (everywhere_ || std::ranges::binary_search(folders_, folder)) {
    return true;
  }
  const std::string inside = std::string(folder) + "/";
  const auto next = std::ranges::lower_bound(folders_, inside);
  return next != folders_.end() && next->starts_with(inside);
}

std::optional<std::size_t> PatternList::Folder::last_match() const {
  for (std::size_t word = matched_.size(); word-- > 0;) {
    if (matched_[word] != 0) {
      return (word + 1) * k_word - 1 - static_cast<std::size_t>(std::countl_zero(matched_[word]));
    }
  }
  return std::nullopt;
}

PatternList::PatternList(const std::vector<std::string>& lines) : automaton_({}, {}) {
  std::vector<PathAutomaton::Pattern> patterns;
  CharacterSets sets;
  for (const std::string& raw : lines) {
    const std::string_view bare = trimmed(raw);
    if (bare.empty()) {
      continue;
    }
    const std::string line = clean_path(bare);
    const bool negated = line.starts_with('!');
    const std::string_view text = std::string_view(line).substr(negated ? 1 : 0);
    negated_.resize(count_ / k_word + 1);
    negated_.back() |= std::uint64_t{negated} << (count_ % k_word);
    (negated ? exceptions_ : inclusions_).add(text);
    add_line(text, static_cast<PathAutomaton::Number>(count_++), patterns, sets);
  }
  inclusions_.finish();
  exceptions_.finish();
  automaton_ = PathAutomaton(std::move(patterns), std::move(sets));
}

bool PatternList::matches(std::string_view path, const Folder& parent, Folder* own,
                          MatchingBudget& budget, const std::stop_token& stop) {
  Folder folder{};
  folder.states_ = automaton_.read(parent.read_ == 0 ? automaton_.start() : parent.states_,
                                   decode(path.substr(parent.read_)), budget, stop);
  std::vector<std::uint64_t> hits(negated_.size(), 0);
  std::uint64_t steps = hits.size();
  automaton_.visit_matches(folder.states_, [&](PathAutomaton::Number line) {
    hits[line / k_word] |= std::uint64_t{1} << (line % k_word);
    ++steps;
  });
  // Line by line, as moby goes. What matched the folder matches here. A line that could not change
  // the verdict is not tried, and so not carried down either.
  bool matched = false;
  folder.matched_.resize(negated_.size());
  for (std::size_t word = 0; word < hits.size(); ++word) {
    const std::uint64_t inherited = parent.matched_.empty() ? 0 : parent.matched_[word];
    for (std::uint64_t open = ~std::uint64_t{0};;) {
      const std::uint64_t tried = hits[word] & (matched ? negated_[word] : ~negated_[word]);
      const std::uint64_t next = (inherited | tried) & open;
      if (next == 0) {
        break;
      }
      const std::uint64_t line = next & (~next + 1);
      folder.matched_[word] |= line;
      matched = (negated_[word] & line) == 0;
      open = ~(line | (line - 1));
      ++steps;
    }
  }
  budget.spend(steps);
  if (own != nullptr) {
    folder.states_ = automaton_.read_into_folder(folder.states_, budget, stop);
    folder.read_ = path.size() + 1;
    *own = std::move(folder);
  }
  return matched;
}

}  // namespace builder::domain
