#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

/// A shell pattern compiled for matching whole '/'-separated paths, as moby/patternmatcher reads
/// it: `*` and `?` stay inside one name, `**` spans folders, `[a-z]` and `\x` as usual. Matching
/// simulates an automaton: time is at most pattern length times path length, whatever the pattern.
class Glob {
 public:
  explicit Glob(std::string_view pattern);
  [[nodiscard]] bool matches(const std::u32string& path) const;

 private:
  enum class Kind : std::uint8_t { literal, any, star, folders, rest, set };

  struct Range {
    char32_t low;
    char32_t high;
  };

  struct Token {
    Kind kind;
    char32_t character = 0;
    bool negated = false;
    std::vector<Range> ranges = {};
  };

  bool parse_set(const std::u32string& pattern, std::size_t& at);
  [[nodiscard]] bool accepts(const Token& token, char32_t character) const;
  void close_over(std::size_t token, bool passable, std::vector<std::size_t>& active,
                  std::vector<std::uint32_t>& seen, std::uint32_t round) const;

  std::vector<Token> tokens_;
  std::size_t consuming_ = 0;  // Tokens that take exactly one character each.
  bool malformed_ = false;
};

/// UTF-8 to code points; a byte that is not UTF-8 becomes a value of its own beyond Unicode.
std::u32string decode(std::string_view text);

/// Go's path.Clean.
std::string clean_path(std::string_view path);

/// The lines of a .dockerignore, or the include list of a transfer. Semantics of fsutil's filter
/// over moby/patternmatcher: the last matching line decides, `!` takes back, and a line that
/// matched a folder matches everything below it.
class PatternList {
 public:
  explicit PatternList(const std::vector<std::string>& patterns);

  /// Which lines matched a folder; handed down to its entries. Empty at the root.
  using FolderMatches = std::vector<bool>;

  [[nodiscard]] bool empty() const { return patterns_.empty(); }

  /// `matches`, when given, receives this path's own FolderMatches. Once stop is requested the
  /// answer is meaningless; the caller looks at the token.
  [[nodiscard]] bool matches(std::string_view path, const FolderMatches& parent,
                             FolderMatches* matches, const std::stop_token& stop) const;

  /// False when no line without `!` can match below `folder`.
  [[nodiscard]] bool may_match_below(std::string_view folder) const { return below(folder, false); }

  /// False when no `!` line can match below `folder`.
  [[nodiscard]] bool may_except_below(std::string_view folder) const { return below(folder, true); }

 private:
  struct Pattern {
    enum class Kind : std::uint8_t { exact, suffix, glob } kind;
    std::string text;
    std::string folder;  // `text` without a trailing /* or /**.
    std::string prefix;  // What a matching path must begin with.
    bool negated;
    bool plain_folder;     // `folder` holds no wildcard.
    std::size_t glob = 0;  // Index into globs_.
  };

  [[nodiscard]] bool match_one(const Pattern& pattern, std::string_view path,
                               std::u32string& decoded) const;
  [[nodiscard]] bool below(std::string_view folder, bool negated) const;

  std::vector<Pattern> patterns_;
  std::vector<Glob> globs_;
};

}  // namespace builder::domain
