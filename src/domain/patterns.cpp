#include "domain/patterns.hpp"

#include <algorithm>
#include <utility>

namespace builder::domain {

namespace {

constexpr char32_t k_beyond_unicode = 0x110000;

bool has_wildcard(std::string_view text) {
  return text.find_first_of("*?[]^\\") != std::string_view::npos;
}

std::size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead < 0xE0) {
    return 2;
  }
  if (lead >= 0xE0 && lead < 0xF0) {
    return 3;
  }
  return lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
}

}  // namespace

std::u32string decode(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = sequence_length(lead);
    char32_t value = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    bool valid = length != 0 && i + length <= text.size();
    for (std::size_t k = 1; valid && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      valid = (next & 0xC0U) == 0x80U;
      value = (value << 6U) | (next & 0x3FU);
    }
    out.push_back(valid ? value : k_beyond_unicode + lead);
    i += valid ? length : 1;
  }
  return out;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> parts;
  const bool absolute = path.starts_with('/');
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "..") {
      if (!parts.empty() && parts.back() != "..") {
        parts.pop_back();
      } else if (!absolute) {
        parts.push_back(part);
      }
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    begin = end + 1;
  }
  std::string out = absolute ? "/" : "";
  for (const std::string_view part : parts) {
    if (!out.empty() && out.back() != '/') {
      out += '/';
    }
    out += part;
  }
  return out.empty() ? "." : out;
}

Glob::Glob(std::string_view pattern) {
  const std::u32string text = decode(pattern);
  for (std::size_t i = 0; i < text.size() && !malformed_; ++i) {
    if (text[i] == U'*' && i + 1 < text.size() && text[i + 1] == U'*') {
      ++i;
      if (i + 1 < text.size() && text[i + 1] == U'/') {
        ++i;
      }
      if (i + 1 == text.size()) {
        tokens_.push_back({.kind = Kind::rest});
      } else if (tokens_.empty() || tokens_.back().kind != Kind::folders) {
        // Repetitions add nothing: "**/**/" matches what "**/" does.
        tokens_.push_back({.kind = Kind::folders});
      }
    } else if (text[i] == U'*') {
      tokens_.push_back({.kind = Kind::star});
    } else if (text[i] == U'?') {
      tokens_.push_back({.kind = Kind::any});
      ++consuming_;
    } else if (text[i] == U'[') {
      malformed_ = !parse_set(text, i);
      ++consuming_;
    } else {
      if (text[i] == U'\\' && i + 1 < text.size()) {
        ++i;
      }
      tokens_.push_back({.kind = Kind::literal, .character = text[i]});
      ++consuming_;
    }
  }
}

// `at` stands on '[' and is left on the closing ']'.
bool Glob::parse_set(const std::u32string& pattern, std::size_t& at) {
  Token token{.kind = Kind::set};
  std::size_t i = at + 1;
  const auto take = [&] {
    if (pattern[i] == U'\\' && i + 1 < pattern.size()) {
      ++i;
    }
    return pattern[i++];
  };
  if (i < pattern.size() && pattern[i] == U'^') {
    token.negated = true;
    ++i;
  }
  for (bool first = true; i < pattern.size() && (first || pattern[i] != U']'); first = false) {
    Range range{};
    range.low = take();
    range.high = range.low;
    if (i + 1 < pattern.size() && pattern[i] == U'-' && pattern[i + 1] != U']') {
      ++i;
      range.high = take();
    }
    token.ranges.push_back(range);
  }
  if (i >= pattern.size()) {
    return false;
  }
  at = i;
  tokens_.push_back(std::move(token));
  return true;
}

bool Glob::accepts(const Token& token, char32_t character) const {
  switch (token.kind) {
    case Kind::literal:
      return token.character == character;
    case Kind::any:
      return character != U'/';
    case Kind::set:
      // A class may match '/', as in the regular expression that moby makes of it.
      return token.negated != std::ranges::any_of(token.ranges, [character](const Range& range) {
               return range.low <= character && character <= range.high;
             });
    case Kind::star:
    case Kind::folders:
    case Kind::rest:
      return false;
  }
  return false;
}

// Adds `token` and every token reachable from it without taking a character. A `folders` token,
// read
// "(.*/)?", may be left at once where it was entered and after a '/', but not in the middle of a
// name
// (`passable` false).
void Glob::close_over(std::size_t token, bool passable, std::vector<std::size_t>& active,
                      std::vector<std::uint32_t>& seen, std::uint32_t round) const {
  for (;; ++token) {
    const bool fresh = seen[token] != round;
    if (fresh) {
      seen[token] = round;
      active.push_back(token);
    }
    if (token == tokens_.size()) {
      return;
    }
    switch (tokens_[token].kind) {
      case Kind::star:
      case Kind::rest:
        if (!fresh) {
          return;
        }
        break;
      case Kind::folders:
        // Not skipped when already active: it may be so from the middle of a name.
        if (!passable) {
          return;
        }
        break;
      case Kind::literal:
      case Kind::any:
      case Kind::set:
        return;
    }
  }
}

bool Glob::matches(const std::u32string& path) const {
  if (malformed_ || consuming_ > path.size()) {
    return false;
  }
  std::vector<std::size_t> active;
  std::vector<std::size_t> next;
  std::vector<std::uint32_t> seen(tokens_.size() + 1, 0);
  std::uint32_t round = 1;
  close_over(0, true, active, seen, round);
  for (const char32_t character : path) {
    ++round;
    next.clear();
    for (const std::size_t token : active) {
      if (token == tokens_.size()) {
        continue;
      }
      switch (tokens_[token].kind) {
        case Kind::star:
          if (character != U'/') {
            close_over(token, true, next, seen, round);
          }
          break;
        case Kind::rest:
          close_over(token, true, next, seen, round);
          break;
        case Kind::folders:
          close_over(token, character == U'/', next, seen, round);
          break;
        case Kind::literal:
        case Kind::any:
        case Kind::set:
          if (accepts(tokens_[token], character)) {
            close_over(token + 1, true, next, seen, round);
          }
          break;
      }
    }
    std::swap(active, next);
    if (active.empty()) {
      return false;
    }
  }
  return seen[tokens_.size()] == round;
}

PatternList::PatternList(const std::vector<std::string>& patterns) {
  constexpr std::string_view k_blank = " \t\r\n";
  for (const std::string& raw : patterns) {
    const std::size_t begin = raw.find_first_not_of(k_blank);
    if (begin == std::string::npos) {
      continue;
    }
    Pattern pattern{};
    pattern.text =
        clean_path(std::string_view(raw).substr(begin, raw.find_last_not_of(k_blank) - begin + 1));
    if (pattern.text.starts_with('!')) {
      pattern.negated = true;
      pattern.text.erase(0, 1);
    }
    pattern.folder = pattern.text;
    for (const std::string_view tail : {"/**", "/*"}) {
      if (pattern.folder.size() > tail.size() && pattern.folder.ends_with(tail)) {
        pattern.folder.resize(pattern.folder.size() - tail.size());
      }
    }
    pattern.plain_folder = !has_wildcard(pattern.folder);
    if (!has_wildcard(pattern.text)) {
      pattern.kind = Pattern::Kind::exact;
    } else if (pattern.text.starts_with("**") &&
               pattern.text.find_first_of("*?[]\\", 2) == std::string::npos) {
      pattern.kind = Pattern::Kind::suffix;
    } else {
      pattern.kind = Pattern::Kind::glob;
      pattern.prefix = pattern.text.substr(0, pattern.text.find_first_of("*?[]\\"));
      pattern.glob = globs_.size();
      globs_.emplace_back(pattern.text);
    }
    patterns_.push_back(std::move(pattern));
  }
}

bool PatternList::match_one(const Pattern& pattern, std::string_view path,
                            std::u32string& decoded) const {
  switch (pattern.kind) {
    case Pattern::Kind::exact:
      return pattern.text == path;
    case Pattern::Kind::suffix: {
      // A leading "**" before plain text is a suffix test: "**b" takes "ab", "x/**b" does not.
      const std::string_view tail = std::string_view(pattern.text).substr(2);
      return path.ends_with(tail) || (tail.starts_with('/') && path == tail.substr(1));
    }
    case Pattern::Kind::glob:
      if (!path.starts_with(pattern.prefix)) {
        return false;
      }
      if (decoded.empty()) {
        decoded = decode(path);
      }
      return globs_[pattern.glob].matches(decoded);
  }
  return false;
}

bool PatternList::matches(std::string_view path, const FolderMatches& parent,
                          FolderMatches* matches, const std::stop_token& stop) const {
  constexpr std::size_t k_check_interval = 64;
  bool matched = false;
  std::u32string decoded;
  if (matches != nullptr) {
    matches->assign(patterns_.size(), false);
  }
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (i % k_check_interval == 0 && stop.stop_requested()) {
      return false;
    }
    const Pattern& pattern = patterns_[i];
    bool hit = i < parent.size() && parent[i];
    if (!hit) {
      // A line that could not change the verdict is not tried, and so not carried down either.
      if (pattern.negated != matched) {
        continue;
      }
      hit = match_one(pattern, path, decoded);
    }
    if (matches != nullptr) {
      (*matches)[i] = hit;
    }
    if (hit) {
      matched = !pattern.negated;
    }
  }
  return matched;
}

bool PatternList::below(std::string_view folder, bool negated) const {
  return std::ranges::any_of(patterns_, [&](const Pattern& pattern) {
    if (pattern.negated != negated) {
      return false;
    }
    const std::string_view other = pattern.folder;
    return !pattern.plain_folder || other == folder ||
           (other.size() > folder.size() && other.starts_with(folder) &&
            other[folder.size()] == '/');
  });
}

}  // namespace builder::domain
