#include "domain/path_automaton.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace builder::domain {

Error matching_costs_too_much(std::string_view where) {
  return {.kind = ErrorKind::invalid_input,
          .message =
              "holding the files against the patterns of " + std::string(where) + " takes too long",
          .customer = "The patterns of " + std::string(where) +
                      " take too long on that many files; please write fewer or simpler ones, or "
                      "name folders"};
}

bool CharacterSets::holds(char32_t symbol, char32_t character) const {
  const CharacterSet& set = *sets_[symbol - PathSymbol::k_sets];
  const auto above = std::ranges::upper_bound(set.ranges, character, {}, &CharacterSet::Range::low);
  const bool listed = above != set.ranges.begin() && character <= std::prev(above)->high;
  return listed != set.negated && (set.spans_folders || character != U'/');
}

char32_t CharacterSets::symbol(CharacterSet set) {
  // Sorted and without overlaps: however long a set is, a look into it is short.
  std::erase_if(set.ranges, [](const auto& range) { return range.low > range.high; });
  std::ranges::sort(set.ranges);
  std::size_t kept = 0;
  for (const CharacterSet::Range& range : set.ranges) {
    if (kept > 0 && range.low <= set.ranges[kept - 1].high) {
      set.ranges[kept - 1].high = std::max(set.ranges[kept - 1].high, range.high);
    } else {
      set.ranges[kept++] = range;
    }
  }
  set.ranges.resize(kept);
  const auto [at, is_new] = symbols_.try_emplace(
      std::move(set), PathSymbol::k_sets + static_cast<char32_t>(sets_.size()));
  if (is_new) {
    sets_.push_back(&at->first);
  }
  return at->second;
}

PathAutomaton::PathAutomaton(std::vector<Pattern> patterns, CharacterSets sets)
    : sets_(std::move(sets)) {
  // In this order a pattern shares with those before it what it shares with the last one.
  std::ranges::sort(patterns, [](const Pattern& left, const Pattern& right) {
    return std::tie(left.symbols, left.number) < std::tie(right.symbols, right.number);
  });
  nodes_.emplace_back();
  std::vector<std::uint32_t> parents{0};  // Of each node.
  std::vector<std::uint32_t> way{0};      // The nodes of the last pattern.
  std::u32string_view last;
  for (const Pattern& pattern : patterns) {
    const std::u32string_view symbols = pattern.symbols;
    const auto common =
        static_cast<std::size_t>(std::ranges::mismatch(last, symbols).in2 - symbols.begin());
    way.resize(common + 1);
    for (const char32_t symbol : symbols.substr(common)) {
      parents.push_back(way.back());
      way.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({.symbol = symbol});
    }
    Node& end = nodes_[way.back()];
    if (end.first_number == end.end_of_numbers) {
      end.first_number = static_cast<std::uint32_t>(numbers_.size());
    }
    numbers_.push_back(pattern.number);
    end.end_of_numbers = static_cast<std::uint32_t>(numbers_.size());
    last = symbols;
  }
  // The edges of a node lie side by side; a node was made before those with a greater symbol.
  for (std::size_t node = 1; node < nodes_.size(); ++node) {
    ++nodes_[parents[node]].end_of_edges;
  }
  std::uint32_t edges = 0;
  for (Node& node : nodes_) {
    const std::uint32_t count = node.end_of_edges;
    node.first_edge = node.first_special = node.end_of_edges = edges;
    edges += count;
  }
  edges_.resize(edges);
  for (std::size_t node = 1; node < nodes_.size(); ++node) {
    Node& parent = nodes_[parents[node]];
    const char32_t symbol = nodes_[node].symbol;
    edges_[parent.end_of_edges++] = {.symbol = symbol, .node = static_cast<std::uint32_t>(node)};
    parent.first_special += symbol < PathSymbol::k_special ? 1 : 0;
  }
  rounds_.resize(nodes_.size());
  next_round();
  enter(0, start_);
}

void PathAutomaton::next_round() {
  if (++round_ == 0) {
    std::ranges::fill(rounds_, std::pair<std::uint32_t, std::uint32_t>{});
    round_ = 1;
  }
}

bool PathAutomaton::first_time(std::uint32_t state) {
  auto& [entered, inside] = rounds_[state & ~k_inside];
  return std::exchange((state & k_inside) != 0 ? inside : entered, round_) != round_;
}

// With all that is reached from there without a character. It is never deep: behind a star and
// behind folders comes something that takes a character, or one star.
void PathAutomaton::enter(std::uint32_t node, States& states) {
  if (!first_time(node)) {
    return;
  }
  states.push_back(node);
  for (std::uint32_t i = nodes_[node].first_special; i < nodes_[node].end_of_edges; ++i) {
    const Edge& edge = edges_[i];
    switch (edge.symbol) {
      case PathSymbol::k_folders:
        if (first_time(edge.node | k_inside)) {
          states.push_back(edge.node | k_inside);
        }
        enter(edge.node, states);
        break;
      case PathSymbol::k_star:
      case PathSymbol::k_rest:
        enter(edge.node, states);
        break;
      default:
        break;
    }
  }
}

void PathAutomaton::step(std::uint32_t state, char32_t character, States& next) {
  if ((state & k_inside) != 0) {
    if (first_time(state)) {
      next.push_back(state);
    }
    if (character == U'/') {
      enter(state & ~k_inside, next);
    }
    return;
  }
  const Node& node = nodes_[state];
  if (node.symbol == PathSymbol::k_rest ||
      (node.symbol == PathSymbol::k_star && character != U'/')) {
    enter(state, next);
  }
  const auto first = edges_.begin() + node.first_edge;
  const auto specials = edges_.begin() + node.first_special;
  const auto found =
      std::lower_bound(first, specials, character,
                       [](const Edge& edge, char32_t wanted) { return edge.symbol < wanted; });
  if (found != specials && found->symbol == character) {
    enter(found->node, next);
  }
  for (std::uint32_t i = node.first_special; i < node.end_of_edges; ++i) {
    const Edge& edge = edges_[i];
    if (edge.symbol == PathSymbol::k_any
            ? character != U'/'
            : edge.symbol >= PathSymbol::k_sets && sets_.holds(edge.symbol, character)) {
      enter(edge.node, next);
    }
  }
}

PathAutomaton::States PathAutomaton::read(const States& from, std::u32string_view text,
                                          MatchingBudget& budget, const std::stop_token& stop) {
  States states = from;
  States next;
  for (const char32_t character : text) {
    if (states.empty() || stop.stop_requested()) {
      break;
    }
    std::uint64_t steps = states.size();
    for (const std::uint32_t state : states) {
      steps +=
          (state & k_inside) != 0 ? 0 : nodes_[state].end_of_edges - nodes_[state].first_special;
    }
    if (!budget.spend(steps)) {
      break;
    }
    next_round();
    next.clear();
    for (const std::uint32_t state : states) {
      step(state, character, next);
    }
    std::swap(states, next);
  }
  return states;
}

PathAutomaton::States PathAutomaton::read_into_folder(const States& from, MatchingBudget& budget,
                                                      const std::stop_token& stop) {
  constexpr std::uint64_t k_kept = 16;
  States states = read(from, U"/", budget, stop);
  return budget.spend(k_kept * states.size()) ? states : States{};
}

}  // namespace builder::domain
