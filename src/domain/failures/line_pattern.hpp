#pragma once

#include "base/result.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::failures {

/// By name.
using Captures = std::map<std::string, std::string, std::less<>>;

/// What a line of a program's output has to hold, anywhere in it. Letters of any case match.
/// Special are:
///
///     *            any text
///     {name}       a word, which is captured
///     {name:a,b}   one of these words; `a*` is one that begins with a, `*b` one
///                  that ends with b
///     {name+}      any text but none, captured
///     ^  $         at the ends of the pattern: the line begins, ends here
///     \            takes the next character as it is
///
/// A word has no blanks. What stands around it in quotes, brackets and punctuation is no part of
/// what is captured. Two of `*` and `{…}` need text between them.
///
/// The time of a search is linear in the line: it tries few places, and goes back over none.
class LinePattern {
 public:
  /// `invalid_input`: says what is wrong with it.
  static Result<LinePattern> parse(std::string_view text);

  /// `line`: one line; `lower`: the same in lower case. Adds to `captures` when it matches.
  [[nodiscard]] bool matches(std::string_view line, std::string_view lower,
                             Captures& captures) const;

  [[nodiscard]] std::vector<std::string> names() const;

 private:
  struct Gap {
    enum class Kind { none, any, word, text } kind = Kind::none;
    std::string name = {};
    std::vector<std::string> words = {};
  };

  static Result<Gap> parse_gap(std::string_view text);
  [[nodiscard]] bool matches_from(std::string_view line, std::string_view lower, std::size_t first,
                                  Captures& captures) const;
  static bool take(const Gap& gap, std::string_view text, Captures& captures);

  bool begins_ = false;
  bool ends_ = false;
  std::vector<std::string> literals_;  ///< In lower case.
  std::vector<Gap> gaps_;              ///< Before each literal, and behind the last.
};

}  // namespace builder::domain::failures
