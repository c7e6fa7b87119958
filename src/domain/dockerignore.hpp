#pragma once

#include "domain/patterns.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

/// The `.dockerignore` for a repository that has none, after the original service's: version
/// control, dependencies, tests, logs, keys, and the `.env.*` files that frameworks prefer to
/// `.env`. `.env` itself is not in it: frameworks read it in the build. A repository's own file is
/// used byte for byte; `.git` needs no rule, since a source tree never holds it.
std::string default_dockerignore();

/// An ignore file, read as moby/patternmatcher's `ignorefile` reads it: `#` begins a comment in the
/// first column only, blanks around a line and a leading '/' do not count.
class IgnoreFile {
 public:
  explicit IgnoreFile(std::string_view text);

  struct Line {
    std::size_t number = 0;  ///< Counted from 1.
    std::string text;        ///< As it is written, without the blanks around it.
  };

  /// The line that leaves `path` out; null when it stays in.
  [[nodiscard]] const Line* hides(std::string_view path);

  /// For whoever looks at a whole tree.
  [[nodiscard]] PatternList& patterns() { return patterns_; }

  /// What is more is no list that a person keeps. What fewer may cost is MatchingBudget's.
  static constexpr std::size_t k_most_patterns = 10'000;
  static constexpr std::size_t k_most_stars = 50;

  struct Fault {
    Line line;
    std::string_view what;  ///< "is …", behind the line.
  };

  /// The first line that is no pattern, or one too many. `docker build` and recent BuildKits refuse
  /// the whole file for what is no pattern; old ones skip the line without a word.
  [[nodiscard]] const std::optional<Fault>& fault() const { return fault_; }

 private:
  std::vector<Line> lines_;  // One for each of the patterns.
  PatternList patterns_;
  std::optional<Fault> fault_;
};

}  // namespace builder::domain
