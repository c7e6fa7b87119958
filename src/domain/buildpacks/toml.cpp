#include "domain/buildpacks/toml.hpp"

#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

namespace builder::domain::buildpacks {

namespace {

/// How deep a text nests at most, by its dots and brackets outside of strings and comments. As deep
/// as the library would go or deeper: where the two read a text differently it has an error there,
/// and the library stops.
class DepthCounter {
 public:
  explicit DepthCounter(std::string_view text) : text_(text) {}

  /// The number of the first line that nests deeper; 0: none does.
  std::size_t line_deeper_than(std::size_t limit) {
    while (at_ < text_.size()) {
      step();
      if (header_ + outer_ + key_ + dots_ > limit) {
        return 1 + static_cast<std::size_t>(std::ranges::count(text_.substr(0, at_), '\n'));
      }
    }
    return 0;
  }

 private:
  void step() {
    const char c = text_[at_++];
    const bool begins_line = fresh_line_;
    fresh_line_ = c == '\n' || (fresh_line_ && (c == ' ' || c == '\t' || c == '\r'));
    switch (c) {
      case '\n':
        next_entry();
        in_header_ = false;
        return;
      case '#':
        at_ = std::min(text_.find('\n', at_), text_.size());
        return;
      case '"':
      case '\'':
        skip_string(c);
        return;
      case '.':
        ++(in_header_ ? header_ : dots_);
        return;
      case ',':
        next_entry();
        return;
      case '=':
        key_ = dots_;
        dots_ = 0;
        return;
      case '[':
        if (begins_line && open_.empty()) {
          in_header_ = true;
          header_ = 1;
          return;
        }
        [[fallthrough]];
      case '{':
        open();
        return;
      case ']':
      case '}':
        close();
        return;
      default:
        return;
    }
  }

  void open() {
    if (in_header_) {
      return;
    }
    const std::size_t levels = key_ + dots_ + 1;
    open_.push_back(levels);
    outer_ += levels;
    key_ = dots_ = 0;
  }

  void close() {
    if (!in_header_ && !open_.empty()) {
      outer_ -= open_.back();
      open_.pop_back();
    }
    next_entry();
  }

  void next_entry() { key_ = dots_ = 0; }

  /// From behind the first quote.
  void skip_string(char quote) {
    const bool is_long = text_.substr(at_).starts_with(std::string(2, quote));
    if (is_long) {
      at_ += 2;
    }
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n' && !is_long) {
        return;  // No string goes on in the next line.
      }
      if (c == '\\' && quote == '"') {
        ++at_;
      } else if (c == quote && !is_long) {
        ++at_;
        return;
      } else if (c == quote && text_.substr(at_).starts_with(std::string(3, quote))) {
        // Up to two quotes more are the string's.
        at_ = std::min(text_.find_first_not_of(quote, at_), at_ + 5);
        return;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::size_t> open_;  ///< The levels each open bracket added.
  std::size_t outer_ = 0;          ///< Their sum.
  std::size_t header_ = 0;         ///< Of the table the lines are in.
  std::size_t key_ = 0;            ///< Dots of the key whose value is read.
  std::size_t dots_ = 0;           ///< Since the last separator.
  bool fresh_line_ = true;
  bool in_header_ = false;
};

}  // namespace

Result<toml::table> parse_toml(std::string_view content) {
  if (const std::size_t line = DepthCounter(content).line_deeper_than(k_deepest_toml); line != 0) {
    return failure(ErrorKind::invalid_input,
                   fmt::format("line {}: more than {} levels of tables", line, k_deepest_toml));
  }
  try {
    return toml::parse(content);
  } catch (const toml::parse_error& error) {
    return failure(ErrorKind::invalid_input, fmt::format("line {}: {}", error.source().begin.line,
                                                         printable_line(error.description())));
  }
}

std::vector<TomlEntry> in_order(const toml::table& table) {
  std::vector<TomlEntry> entries;
  for (auto&& [key, node] : table) {
    entries.emplace_back(&key, &node);
  }
  std::ranges::sort(entries, {}, [](const TomlEntry& entry) {
    const toml::source_position& begin = entry.first->source().begin;
    return std::tuple(begin.line, begin.column);
  });
  return entries;
}

}  // namespace builder::domain::buildpacks
