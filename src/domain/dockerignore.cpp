#include "domain/dockerignore.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <utility>

namespace builder::domain {

namespace {

constexpr std::string_view k_blank = " \t\r\v\f";

/// Takes one character of a set, maybe escaped; false when it is none, or the last of the pattern.
bool take_of_set(std::string_view& pattern) {
  if (pattern.empty() || pattern.front() == '-' || pattern.front() == ']') {
    return false;
  }
  pattern.remove_prefix(pattern.front() == '\\' ? 1 : 0);
  if (pattern.empty()) {
    return false;
  }
  const Character character = first_character(pattern);
  pattern.remove_prefix(character.bytes.size());
  return character.valid && !pattern.empty();
}

/// What Go's filepath.Match takes: that is how the engines test a line.
bool is_pattern(std::string_view pattern) {
  while (!pattern.empty()) {
    const char first = pattern.front();
    pattern.remove_prefix(1);
    if (first == '\\') {
      if (pattern.empty()) {
        return false;
      }
      pattern.remove_prefix(1);
    } else if (first == '[') {
      pattern.remove_prefix(pattern.starts_with('^') ? 1 : 0);
      for (bool any = false; !any || !pattern.starts_with(']'); any = true) {
        if (!take_of_set(pattern)) {
          return false;
        }
        if (pattern.starts_with('-')) {
          pattern.remove_prefix(1);
          if (!take_of_set(pattern)) {
            return false;
          }
        }
      }
      pattern.remove_prefix(1);
    }
  }
  return true;
}

/// The pattern of a line, with its '!'; empty when the line holds none.
std::string pattern_of(std::string_view line) {
  const bool negated = line.starts_with('!');
  std::string_view text = trimmed(line.substr(negated ? 1 : 0), k_blank);
  std::string pattern = text.empty() ? std::string() : clean_path(text);
  if (pattern.size() > 1 && pattern.starts_with('/')) {
    pattern.erase(0, 1);
  }
  return (negated ? "!" : "") + pattern;
}

constexpr std::string_view k_lonely = "!";

/// What is wrong with a pattern behind `before` others; empty: nothing.
std::string_view fault_of(std::string_view pattern, std::size_t before) {
  if (pattern == k_lonely) {
    return "is not a valid pattern: '!' needs a pattern behind it";
  }
  if (!is_pattern(pattern.substr(pattern.starts_with('!') ? 1 : 0))) {
    return "is not a valid pattern: its [ ] or \\ is not closed; write [[] for a plain [";
  }
  // Of "**" it is one.
  std::size_t stars = 0;
  for (std::size_t at = 0; (at = pattern.find('*', at)) != std::string_view::npos;
       at = pattern.find_first_not_of('*', at)) {
    ++stars;
  }
  if (stars > IgnoreFile::k_most_stars) {
    return "has more than 50 '*'; please write a simpler pattern";
  }
  return before == IgnoreFile::k_most_patterns
             ? "is one pattern too many: at most 10,000 are read; please name folders instead"
             : std::string_view();
}

}  // namespace

std::string default_dockerignore() {
  return R"(.git
.gitignore
.gitattributes
.github
.gitlab-ci.yml
.vscode
.idea
.editorconfig
.DS_Store
**/.DS_Store
.env.local
.env.development
.env.test
.env.production
node_modules
npm-debug.log*
yarn-debug.log*
yarn-error.log*
coverage
.nyc_output
test
tests
__tests__
tmp
temp
*.tmp
*.temp
logs
*.log
*.pem
*.key
Dockerfile*
docker-compose*.yml
.docker
.dockerignore
)";
}

IgnoreFile::IgnoreFile(std::string_view text) : patterns_({}) {
  text.remove_prefix(text.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  std::vector<std::string> patterns;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = trimmed(raw, k_blank);
    if (raw.starts_with('#') || line.empty()) {
      continue;
    }
    std::string pattern = pattern_of(line);
    if (!fault_) {
      if (const std::string_view what = fault_of(pattern, patterns.size()); !what.empty()) {
        fault_ = {.line = {.number = number, .text = std::string(line)}, .what = what};
      }
    }
    if (pattern == k_lonely || patterns.size() == k_most_patterns) {
      continue;
    }
    lines_.push_back({.number = number, .text = std::string(line)});
    patterns.push_back(std::move(pattern));
  }
  patterns_ = PatternList(patterns);
}

const IgnoreFile::Line* IgnoreFile::hides(std::string_view path) {
  MatchingBudget budget;
  PatternList::Folder parent;
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    PatternList::Folder own;
    const bool hidden = patterns_.matches(path.substr(0, end), parent, &own, budget, {});
    if (end == std::string_view::npos) {
      // Of a verdict the last line that matched is the reason.
      return hidden ? &lines_[own.last_match().value()] : nullptr;
    }
    parent = std::move(own);
  }
}

}  // namespace builder::domain
