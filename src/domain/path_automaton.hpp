#pragma once

#include "base/result.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::domain {

/// What holding paths against patterns may cost: by count, so that the same source has the same end
/// on every machine. Thread-safe.
class MatchingBudget {
 public:
  /// About ten seconds of one core. 500,000 files and 25 usual lines take a tenth of it, 10,000
  /// lines that begin alike hardly more.
  static constexpr std::uint64_t k_steps = 500'000'000;

  explicit MatchingBudget(std::uint64_t steps = k_steps) : steps_(steps) {}

  /// False when there were not so many left; answers mean nothing from then on.
  bool spend(std::uint64_t steps) {
    return spent_.fetch_add(steps, std::memory_order_relaxed) + steps <= steps_;
  }

  [[nodiscard]] std::uint64_t spent() const { return spent_; }

  [[nodiscard]] bool exhausted() const { return spent_ > steps_; }

 private:
  std::uint64_t steps_;
  std::atomic<std::uint64_t> spent_{0};
};

/// The end of a deployment whose patterns were more than the budget; `where`: they are written.
Error matching_costs_too_much(std::string_view where);

/// `[a-z]`.
struct CharacterSet {
  struct Range {
    char32_t low;
    char32_t high;
    auto operator<=>(const Range&) const = default;
  };

  bool negated = false;
  bool spans_folders = false;  ///< It may stand for '/' as well.
  std::vector<Range> ranges;
  auto operator<=>(const CharacterSet&) const = default;
};

/// A pattern is a text of these: characters of a path, which stand for themselves, and the
/// following.
struct PathSymbol {
  static constexpr char32_t k_special = 0x2000'0000;
  static constexpr char32_t k_any = k_special;          ///< One character, but no '/'.
  static constexpr char32_t k_star = k_special + 1;     ///< Any number of these.
  static constexpr char32_t k_folders = k_special + 2;  ///< Any number of folders: "(.*/)?".
  static constexpr char32_t k_rest = k_special + 3;     ///< Anything at all.
  static constexpr char32_t k_sets = k_special + 4;     ///< The first of the sets.
};

/// The sets of some patterns; equal ones are one symbol.
class CharacterSets {
 public:
  CharacterSets() = default;
  CharacterSets(CharacterSets&&) = default;
  CharacterSets& operator=(CharacterSets&&) = default;

  char32_t symbol(CharacterSet set);
  [[nodiscard]] bool holds(char32_t symbol, char32_t character) const;

 private:
  std::map<CharacterSet, char32_t> symbols_;
  std::vector<const CharacterSet*> sets_;  // Into symbols_.
};

/// Many patterns as one automaton over '/'-separated paths. What patterns have in common at their
/// beginning is looked at once, and a folder's states are handed down to all that is in it. A
/// character of a path costs as many steps as there are places in the patterns where it could
/// stand. One thread at a time.
class PathAutomaton {
 public:
  using Number = std::uint32_t;

  struct Pattern {
    std::u32string symbols;
    Number number;  ///< What the pattern is called; several patterns may have the same.
  };

  /// Where in the patterns one may be, having read a part of a path.
  using States = std::vector<std::uint32_t>;

  PathAutomaton(std::vector<Pattern> patterns, CharacterSets sets);

  [[nodiscard]] const States& start() const { return start_; }

  /// Reads on. Meaningless when the budget has not been enough or stop was requested; the caller
  /// looks at them.
  [[nodiscard]] States read(const States& from, std::u32string_view text, MatchingBudget& budget,
                            const std::stop_token& stop);

  /// Behind the '/' after a folder: what all that is in it begins with. It is kept while the walk
  /// is in the folder, and paid for, so that the budget bounds memory as well.
  [[nodiscard]] States read_into_folder(const States& from, MatchingBudget& budget,
                                        const std::stop_token& stop);

  /// Calls `visit` with the number of each pattern that matches what was read.
  template <typename Visit>
  void visit_matches(const States& states, Visit visit) const {
    for (const std::uint32_t state : states) {
      if ((state & k_inside) == 0) {
        const Node& node = nodes_[state];
        for (std::uint32_t i = node.first_number; i < node.end_of_numbers; ++i) {
          visit(numbers_[i]);
        }
      }
    }
  }

 private:
  /// A state is the number of a node, or with this bit: somewhere in the folders that lead to it.
  static constexpr std::uint32_t k_inside = 1U << 31U;

  /// Behind a beginning that patterns have in common. Its edges are sorted by symbol.
  struct Node {
    char32_t symbol = 0;  // That leads here.
    std::uint32_t first_edge = 0;
    std::uint32_t first_special = 0;  // Of its edges: symbols that are no characters.
    std::uint32_t end_of_edges = 0;
    std::uint32_t first_number = 0;  // Of the patterns that end here.
    std::uint32_t end_of_numbers = 0;
  };

  struct Edge {
    char32_t symbol;
    std::uint32_t node;
  };

  void step(std::uint32_t state, char32_t character, States& next);
  void enter(std::uint32_t node, States& states);
  bool first_time(std::uint32_t state);
  void next_round();

  CharacterSets sets_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<Number> numbers_;
  States start_;
  // When a node was entered, and the folders before it: a state is held once.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> rounds_;
  std::uint32_t round_ = 0;
};

}  // namespace builder::domain
