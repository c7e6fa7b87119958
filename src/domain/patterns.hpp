#pragma once

#include "domain/path_automaton.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

/// UTF-8 to code points; a byte that is not UTF-8 becomes a value of its own beyond Unicode.
std::u32string decode(std::string_view text);

/// Go's path.Clean.
std::string clean_path(std::string_view path);

/// A shell pattern for whole '/'-separated paths, as moby/patternmatcher reads it: `*` and `?` stay
/// inside one name, `**` spans folders, `[a-z]` and `\x` as usual.
class Glob {
 public:
  explicit Glob(std::string_view pattern);

  [[nodiscard]] bool matches(std::string_view path);
  [[nodiscard]] bool matches(std::string_view path, MatchingBudget& budget);

 private:
  PathAutomaton automaton_;
};

/// The lines of a .dockerignore, or the include list of a transfer. Semantics of fsutil's filter
/// over moby/patternmatcher: the last matching line decides, `!` takes back, and a line that
/// matched a folder matches everything below it. One thread at a time.
class PatternList {
 public:
  explicit PatternList(const std::vector<std::string>& patterns);

  [[nodiscard]] bool empty() const { return count_ == 0; }

  /// What a folder hands down to its entries; the root's is a new one.
  class Folder {
   public:
    /// The last of the lines that matched the folder itself; null when none did.
    [[nodiscard]] std::optional<std::size_t> last_match() const;

   private:
    friend class PatternList;
    std::vector<std::uint64_t> matched_;  // A bit for each line.
    PathAutomaton::States states_;        // Behind the '/' after the folder's path.
    std::size_t read_ = 0;                // The length of that.
  };

  /// `own`, when given, becomes this path's. Once the budget is exhausted or stop is requested the
  /// answer is meaningless; the caller looks at them.
  [[nodiscard]] bool matches(std::string_view path, const Folder& parent, Folder* own,
                             MatchingBudget& budget, const std::stop_token& stop);

  /// False when no line without `!` can match below `folder`.
  [[nodiscard]] bool may_match_below(std::string_view folder) const {
    return inclusions_.reach_below(folder);
  }

  /// False when no `!` line can match below `folder`.
  [[nodiscard]] bool may_except_below(std::string_view folder) const {
    return exceptions_.reach_below(folder);
  }

 private:
  /// Where the lines of one kind can match.
  class Reach {
   public:
    void add(std::string_view pattern);
    void finish();
    [[nodiscard]] bool reach_below(std::string_view folder) const;

   private:
    bool everywhere_ = false;
    std::vector<std::string> folders_;  // Sorted.
  };

  std::size_t count_ = 0;
  std::vector<std::uint64_t> negated_;  // A bit for each line.
  Reach inclusions_;
  Reach exceptions_;
  PathAutomaton automaton_;
};

}  // namespace builder::domain
