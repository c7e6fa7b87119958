#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder {

/// Finds many strings in one pass over a text (Aho–Corasick): a step takes constant time on
/// average, whatever the strings and the text are. Immutable; used by every thread.
class Needles {
 public:
  using State = std::uint32_t;
  static constexpr State k_start = 0;
  /// Strings are longer than this. A state is shallow when no more of one has been read.
  static constexpr std::size_t k_shallow_depth = 2;

  /// What a string that has ended means; flags.
  enum Kind : std::uint8_t {
    k_secret = 1,   ///< Is to be taken out.
    k_encoded = 2,  ///< Is too, and tools break it over several rows: base64, hex.
    k_token = 4,    ///< Begins a credential of a known shape.
    k_url = 8,
    k_http = 16,
    k_authorization = 32,
  };

  struct Needle {
    std::string text;
    std::uint8_t kinds = k_secret;
  };

  explicit Needles(std::vector<Needle> needles);

  [[nodiscard]] State step(State state, char byte) const {
    const auto label = static_cast<unsigned char>(byte);
    while (state >= dense_) {
      const Node& node = nodes_[state];
      if (const State child = child_of(node, label); child != k_start) {
        return child;
      }
      state = node.fail;
    }
    return table_[(state << width_bits_) + classes_[label]];
  }

  struct Skipped {
    std::size_t bytes;
    State state;
  };

  /// Steps over the front of `text`, from a shallow state to another, when no string ends on the
  /// way. Few states are looked up: three bytes at every other place tell that none begins there.
  [[nodiscard]] Skipped skip(State state, std::string_view text) const;

  [[nodiscard]] bool is_shallow(State state) const { return state < shallow_; }

  /// Whether some string ends here.
  [[nodiscard]] bool ends(State state) const { return nodes_[state].ends; }

  /// How much of the text before is the beginning of some string.
  [[nodiscard]] std::size_t depth(State state) const { return facts_[state].depth; }

  /// Length of the longest secret that ends here; 0: none does.
  [[nodiscard]] std::size_t match(State state) const { return facts_[state].match; }

  /// Where the longest secret that ends here ends on its own; k_start: none does.
  [[nodiscard]] State ending(State state) const { return facts_[state].ending; }

  /// The kinds of all strings that end here.
  [[nodiscard]] std::uint8_t kinds(State state) const { return facts_[state].kinds; }

  /// How much of the text before is the beginning of an encoded secret.
  [[nodiscard]] std::size_t encoded_depth(State state) const;

 private:
  /// What a step reads.
  struct Node {
    State first_child = 0;
    State fail = 0;
    std::uint16_t children = 0;
    unsigned char first_label = 0;
    bool ends = false;
  };

  struct Facts {
    std::uint32_t depth = 0;
    std::uint32_t match = 0;
    State ending = k_start;
    std::uint8_t kinds = 0;
    bool is_encoded = false;
  };

  [[nodiscard]] State child_of(const Node& node, unsigned char label) const {
    if (node.children == 0 || node.first_label == label) {
      return node.children == 0 ? k_start : node.first_child;
    }
    const unsigned char* const begin = labels_.data() + node.first_child;
    const unsigned char* const end = begin + node.children;
    const unsigned char* const found = std::lower_bound(begin + 1, end, label);
    return found != end && *found == label ? node.first_child + static_cast<State>(found - begin)
                                           : k_start;
  }

  /// Of the first three of four bytes.
  static std::uint32_t hash(const char* at) {
    const auto byte = [at](unsigned i) {
      return std::uint32_t{static_cast<unsigned char>(at[i])} << (8 * i);
    };
    const std::uint32_t window = byte(0) | byte(1) | byte(2) | byte(3);
    return ((window << 8U) * 0x9E3779B1U) >> 15U;
  }

  /// Whether a string may begin with the three bytes at `at`, or with one byte and them.
  [[nodiscard]] bool may_begin(const char* at) const { return beginnings_[hash(at)]; }

  void grow(const std::vector<Needle>& needles);
  void learn(State at, const Needle* ending, bool is_encoded);
  void link_children(State at);
  void fill_table();
  void learn_beginning(std::string_view needle);

  std::vector<Node> nodes_;  ///< In breadth-first order: children lie together.
  std::vector<Facts> facts_;
  std::vector<unsigned char> labels_;
  std::array<std::uint8_t, 256> classes_{};  ///< Bytes that are in no string share one.
  unsigned width_bits_ = 0;                  ///< Of a row of the table.
  State dense_ = 1;                          ///< The states before have rows in the table.
  State shallow_ = 1;
  std::vector<State> table_;
  std::bitset<std::size_t{1} << 17U> beginnings_;  ///< Hashes of what the strings begin with.
};

}  // namespace builder
