#include "base/needles.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

namespace builder {

Needles::Needles(std::vector<Needle> needles) {
  std::ranges::sort(needles, {}, &Needle::text);
  std::vector<Needle> unique;
  for (Needle& needle : needles) {
    if (!unique.empty() && unique.back().text == needle.text) {
      unique.back().kinds |= needle.kinds;
    } else if (needle.text.size() > k_shallow_depth) {
      unique.push_back(std::move(needle));
    }
  }
  grow(unique);
  fill_table();
  for (const Needle& needle : unique) {
    learn_beginning(needle.text);
  }
}

void Needles::learn_beginning(std::string_view needle) {
  const auto learn = [this](std::string text) {
    text.resize(4);
    beginnings_.set(hash(text.data()));
  };
  learn(std::string(needle.substr(0, 3)));
  if (needle.size() > 3) {
    learn(std::string(needle.substr(1, 3)));
    return;
  }
  for (unsigned next = 0; next < 256; ++next) {
    learn(std::string(needle.substr(1)) + static_cast<char>(next));
  }
}

void Needles::grow(const std::vector<Needle>& needles) {
  // A node stands for a range of the sorted strings: those that begin with it.
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  std::vector<std::size_t> encoded(needles.size() + 1, 0);
  for (std::size_t i = 0; i < needles.size(); ++i) {
    encoded[i + 1] = encoded[i] + ((needles[i].kinds & k_encoded) != 0 ? 1 : 0);
  }
  std::vector<Range> ranges{{0, needles.size()}};
  nodes_.emplace_back();
  facts_.emplace_back();
  labels_.push_back(0);
  for (State at = 0; at < nodes_.size(); ++at) {
    Range range = ranges[at];
    const std::size_t depth = facts_[at].depth;
    if (depth > 0) {
      const bool ends = needles[range.begin].text.size() == depth;
      learn(at, ends ? &needles[range.begin] : nullptr, encoded[range.end] > encoded[range.begin]);
      range.begin += ends ? 1 : 0;
    }
    nodes_[at].first_child = static_cast<State>(nodes_.size());
    while (range.begin < range.end) {
      const char label = needles[range.begin].text[depth];
      std::size_t end = range.begin + 1;
      while (end < range.end && needles[end].text[depth] == label) {
        ++end;
      }
      ranges.push_back({range.begin, end});
      nodes_.emplace_back();
      facts_.push_back({.depth = static_cast<std::uint32_t>(depth + 1)});
      labels_.push_back(static_cast<unsigned char>(label));
      ++nodes_[at].children;
      range.begin = end;
    }
    link_children(at);
  }
}

/// What is true at a node; that of its `fail` is known.
void Needles::learn(State at, const Needle* ending, bool is_encoded) {
  Facts& facts = facts_[at];
  const Facts& fail = facts_[nodes_[at].fail];
  const std::uint8_t own = ending != nullptr ? ending->kinds : std::uint8_t{0};
  facts.is_encoded = is_encoded;
  facts.kinds = own | fail.kinds;
  const bool is_secret = (own & (k_secret | k_encoded)) != 0;
  facts.match = is_secret ? facts.depth : fail.match;
  facts.ending = is_secret ? at : fail.ending;
  nodes_[at].ends = facts.kinds != 0;
}

/// The longest other beginning that the text of a child ends with.
void Needles::link_children(State at) {
  Node& node = nodes_[at];
  if (node.children > 0) {
    node.first_label = labels_[node.first_child];
  }
  for (std::size_t i = 0; at != k_start && i < node.children; ++i) {
    const State child = node.first_child + static_cast<State>(i);
    State fail = node.fail;
    State next = child_of(nodes_[fail], labels_[child]);
    while (next == k_start && fail != k_start) {
      fail = nodes_[fail].fail;
      next = child_of(nodes_[fail], labels_[child]);
    }
    nodes_[child].fail = next;
  }
}

void Needles::fill_table() {
  std::size_t classes = 1;
  for (std::size_t i = 1; i < labels_.size(); ++i) {
    std::uint8_t& named = classes_[labels_[i]];
    if (named == 0 && classes < 256) {
      named = static_cast<std::uint8_t>(classes++);
    }
  }
  width_bits_ = static_cast<unsigned>(std::bit_width(classes - 1));
  constexpr std::size_t k_most_cells = std::size_t{1} << 18U;
  dense_ = static_cast<State>(std::min(nodes_.size(), k_most_cells >> width_bits_));
  shallow_ = 0;
  while (shallow_ < dense_ && facts_[shallow_].depth <= k_shallow_depth) {
    ++shallow_;
  }
  const std::size_t width = std::size_t{1} << width_bits_;
  table_.assign(dense_ * width, k_start);
  for (State at = 0; at < dense_; ++at) {
    const auto row = table_.begin() + static_cast<std::ptrdiff_t>(at * width);
    if (at != k_start) {
      std::copy_n(table_.begin() + static_cast<std::ptrdiff_t>(nodes_[at].fail * width), width,
                  row);
    }
    for (std::size_t i = 0; i < nodes_[at].children; ++i) {
      const State child = nodes_[at].first_child + static_cast<State>(i);
      row[classes_[labels_[child]]] = child;
    }
  }
}

Needles::Skipped Needles::skip(State state, std::string_view text) const {
  std::size_t at = 0;
  const auto step_to = [&](std::size_t end) {
    for (; at < end; ++at) {
      const State next = step(state, text[at]);
      if (!is_shallow(next)) {
        return false;
      }
      state = next;
    }
    return true;
  };
  // What the state knows of the text before matters to the first bytes.
  if (!step_to(std::min(text.size(), k_shallow_depth))) {
    return {at, state};
  }
  // No string begins before `window` - 1 that is longer than k_shallow_depth.
  std::size_t window = 0;
  const auto go_to_window = [&] {
    if (window >= k_shallow_depth) {
      at = window + 1;
      state = step(step(k_start, text[at - 2]), text[at - 1]);
    }
  };
  const char* const bytes = text.data();
  while (window + 4 <= text.size()) {
    // Two at once; at the end they overlap those before.
    const std::size_t next = std::min(window + 2, text.size() - 4);
    if (may_begin(bytes + window) || may_begin(bytes + next)) [[unlikely]] {
      go_to_window();
      if (!step_to(next + 3)) {
        return {at, state};
      }
    }
    window = next + 2;
  }
  go_to_window();
  step_to(text.size());
  return {at, state};
}

std::size_t Needles::encoded_depth(State state) const {
  while (state != k_start && !facts_[state].is_encoded) {
    state = nodes_[state].fail;
  }
  return facts_[state].depth;
}

}  // namespace builder
