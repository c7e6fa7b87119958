#include "domain/failures/line_pattern.hpp"

#include "base/ascii.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::domain::failures {

namespace {

/// Places of the first literal that are tried in one line.
constexpr int k_most_places = 8;
constexpr std::string_view k_blanks = " \t";
constexpr std::string_view k_around_words = "\"'`()[],;:.!";

std::unexpected<Error> bad_pattern(std::string_view pattern, std::string_view why) {
  return failure(ErrorKind::invalid_input, fmt::format("pattern '{}': {}", pattern, why));
}

/// A path or a scoped name may begin with a dot.
std::string_view bare_word(std::string_view word) {
  const std::string_view bare = trimmed(word, k_around_words);
  const auto at = static_cast<std::size_t>(bare.empty() ? 0 : bare.data() - word.data());
  const std::size_t begin = word.find_last_not_of('.', at == 0 ? 0 : at - 1);
  const std::size_t dots = begin == std::string_view::npos ? 0 : begin + 1;
  return bare.empty() || at == 0 || word[at - 1] != '.'
             ? bare
             : word.substr(dots, at - dots + bare.size());
}

/// `one`: in lower case; `a*` is what begins with a, `*a` what ends with it.
bool is_word_of(std::string_view word, std::string_view one) {
  return one.ends_with('*')     ? word.starts_with(one.substr(0, one.size() - 1))
         : one.starts_with('*') ? word.ends_with(one.substr(1))
                                : word == one;
}

bool is_one_of(std::string_view word, const std::vector<std::string>& words) {
  const std::string lower = lower_case(word);
  return std::ranges::any_of(words, [&](const std::string& one) { return is_word_of(lower, one); });
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    words.push_back(lower_case(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return words;
}

}  // namespace

Result<LinePattern::Gap> LinePattern::parse_gap(std::string_view text) {
  Gap gap{.kind = Gap::Kind::word};
  const std::size_t colon = text.find(':');
  gap.name = std::string(text.substr(0, colon));
  if (colon != std::string_view::npos) {
    gap.words = split(text.substr(colon + 1));
  } else if (gap.name.ends_with('+')) {
    gap.kind = Gap::Kind::text;
    gap.name.pop_back();
  }
  const bool is_name = !gap.name.empty() && std::ranges::all_of(gap.name, [](char c) {
    return (c >= 'a' && c <= 'z') || c == '_';
  });
  if (!is_name) {
    return failure(ErrorKind::invalid_input, "a name has small letters only");
  }
  return gap;
}

Result<LinePattern> LinePattern::parse(std::string_view text) {
  LinePattern pattern;
  const std::string_view whole = text;
  if (text.starts_with('^')) {
    pattern.begins_ = true;
    text.remove_prefix(1);
  }
  if (text.ends_with('$') && !text.ends_with("\\$")) {
    pattern.ends_ = true;
    text.remove_suffix(1);
  }
  std::string literal;
  Gap gap;
  const auto add_gap = [&](Gap next) {
    if (!literal.empty()) {
      pattern.gaps_.push_back(std::exchange(gap, {}));
      pattern.literals_.push_back(lower_case(std::exchange(literal, {})));
    }
    const bool follows = gap.kind != Gap::Kind::none;
    gap = std::move(next);
    return !follows;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      literal += text[++i];
    } else if (c == '*') {
      if (!add_gap({.kind = Gap::Kind::any})) {
        return bad_pattern(whole, "two gaps have no text between them");
      }
    } else if (c == '{') {
      const std::size_t close = text.find('}', i);
      if (close == std::string_view::npos) {
        return bad_pattern(whole, "a { lacks its }");
      }
      auto parsed = parse_gap(text.substr(i + 1, close - i - 1));
      if (!parsed) {
        return bad_pattern(whole, parsed.error().message);
      }
      if (!add_gap(*std::move(parsed))) {
        return bad_pattern(whole, "two gaps have no text between them");
      }
      i = close;
    } else {
      literal += c;
    }
  }
  if (!literal.empty()) {
    pattern.gaps_.push_back(std::exchange(gap, {}));
    pattern.literals_.push_back(lower_case(literal));
  }
  pattern.gaps_.push_back(gap);
  constexpr std::size_t k_shortest = 3;
  const bool has_text = std::ranges::any_of(
      pattern.literals_, [](const std::string& one) { return one.size() >= k_shortest; });
  const bool has_words =
      !pattern.literals_.empty() &&
      std::ranges::any_of(pattern.gaps_, [](const Gap& one) { return !one.words.empty(); });
  if (!has_text && !has_words) {
    return bad_pattern(whole, "it has too little text of its own");
  }
  return pattern;
}

std::vector<std::string> LinePattern::names() const {
  std::vector<std::string> names;
  for (const Gap& gap : gaps_) {
    if (!gap.name.empty()) {
      names.push_back(gap.name);
    }
  }
  return names;
}

bool LinePattern::matches(std::string_view line, std::string_view lower, Captures& captures) const {
  const bool is_fixed = begins_ && gaps_.front().kind == Gap::Kind::none;
  std::size_t at = lower.find(literals_.front());
  for (int place = 0; at != std::string_view::npos && place < k_most_places; ++place) {
    if (is_fixed && at > 0) {
      break;
    }
    // What is captured on the way to a mismatch is dropped with it.
    Captures found;
    if (matches_from(line, lower, at, found)) {
      captures.merge(found);
      return true;
    }
    at = lower.find(literals_.front(), at + 1);
  }
  return false;
}

/// `first`: where the first literal stands.
bool LinePattern::matches_from(std::string_view line, std::string_view lower, std::size_t first,
                               Captures& captures) const {
  const Gap& front = gaps_.front();
  std::string_view before = line.substr(0, first);
  if (front.kind == Gap::Kind::word) {
    const std::size_t blank = before.find_last_of(k_blanks);
    if (begins_ && blank != std::string_view::npos) {
      return false;
    }
    before.remove_prefix(blank == std::string_view::npos ? 0 : blank + 1);
  }
  if (!take(front, before, captures)) {
    return false;
  }
  std::size_t end = first + literals_.front().size();
  for (std::size_t i = 1; i < literals_.size(); ++i) {
    const bool closes = ends_ && i + 1 == literals_.size() && gaps_.back().kind == Gap::Kind::none;
    const std::size_t at = closes ? lower.rfind(literals_[i]) : lower.find(literals_[i], end);
    if (at == std::string_view::npos || at < end ||
        !take(gaps_[i], line.substr(end, at - end), captures)) {
      return false;
    }
    end = at + literals_[i].size();
  }
  std::string_view rest = line.substr(end);
  const Gap& back = gaps_.back();
  if (back.kind == Gap::Kind::word && !ends_) {
    rest.remove_prefix(std::min(rest.find_first_not_of(k_blanks), rest.size()));
    rest = rest.substr(0, rest.find_first_of(k_blanks));
  }
  return back.kind == Gap::Kind::none ? !ends_ || rest.empty() : take(back, rest, captures);
}

bool LinePattern::take(const Gap& gap, std::string_view text, Captures& captures) {
  if (gap.kind == Gap::Kind::none || gap.kind == Gap::Kind::any) {
    return true;
  }
  std::string_view value = trimmed(text, k_blanks);
  if (gap.kind == Gap::Kind::word) {
    value = bare_word(value);
  } else {
    value = value.substr(0, value.find_last_not_of(" \t.,:;") + 1);
  }
  const bool is_word =
      gap.kind == Gap::Kind::text || value.find_first_of(k_blanks) == std::string_view::npos;
  if (value.empty() || !is_word || (!gap.words.empty() && !is_one_of(value, gap.words))) {
    return false;
  }
  captures.emplace(gap.name, value);
  return true;
}

}  // namespace builder::domain::failures
