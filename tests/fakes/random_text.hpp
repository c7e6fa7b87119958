#pragma once

#include <random>
#include <string>
#include <vector>

namespace builder::fakes {

/// Hostile text out of pieces that mean something to the parser under test; the same for a seed on
/// every machine, so that a failure can be repeated.
class RandomText {
 public:
  RandomText(unsigned seed, std::vector<std::string> pieces)
      : random_(seed), pieces_(std::move(pieces)) {}

  std::string make(std::size_t most_pieces) {
    std::string text;
    for (std::size_t left = below(most_pieces + 1); left > 0; --left) {
      text += pieces_[below(pieces_.size())];
    }
    return text;
  }

  /// `text` with a few places changed, cut, doubled or filled with a piece.
  std::string damage(std::string text) {
    for (std::size_t left = 1 + below(4); left > 0; --left) {
      const std::size_t at = below(text.size() + 1);
      const std::size_t length = std::min(below(6), text.size() - at);
      switch (below(4)) {
        case 0:
          text.erase(at, length);
          break;
        case 1:
          text.insert(at, pieces_[below(pieces_.size())]);
          break;
        case 2:
          text.insert(at, text.substr(at, length));
          break;
        default:
          text.replace(at, length, std::string(length, static_cast<char>(below(256))));
      }
    }
    return text;
  }

  /// `text` in pieces of random size, in order.
  std::vector<std::string> cut(const std::string& text, std::size_t longest) {
    std::vector<std::string> chunks;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + below(longest);
      chunks.push_back(text.substr(at, size));
      at += size;
    }
    return chunks;
  }

  std::size_t below(std::size_t limit) { return random_() % limit; }

 private:
  std::mt19937_64 random_;
  std::vector<std::string> pieces_;
};

}  // namespace builder::fakes
