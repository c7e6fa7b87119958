#include "domain/dockerignore.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace builder::domain {

namespace {

constexpr std::string_view k_blank = " \t\r\v\f";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(k_blank);
  return begin == std::string_view::npos
             ? std::string_view()
             : text.substr(begin, text.find_last_not_of(k_blank) - begin + 1);
}

/// Takes one character of a set, maybe escaped; false when it is none, or the last of the pattern.
bool take_of_set(std::string_view& pattern) {
  if (pattern.empty() || pattern.front() == '-' || pattern.front() == ']') {
    return false;
  }
  pattern.remove_prefix(pattern.front() == '\\' ? 1 : 0);
  if (pattern.empty()) {
    return false;
  }
  std::size_t length = 1;
  while (length < pattern.size() &&
         (static_cast<unsigned char>(pattern[length]) & 0xC0U) == 0x80U) {
    ++length;
  }
  const bool is_character = is_utf8(pattern.substr(0, length));
  pattern.remove_prefix(length);
  return is_character && !pattern.empty();
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
  std::string_view text = trimmed(line.substr(negated ? 1 : 0));
  std::string pattern = text.empty() ? std::string() : clean_path(text);
  if (pattern.size() > 1 && pattern.starts_with('/')) {
    pattern.erase(0, 1);
  }
  return (negated ? "!" : "") + pattern;
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
    const std::string_view line = trimmed(raw);
    if (raw.starts_with('#') || line.empty()) {
      continue;
    }
    std::string pattern = pattern_of(line);
    const bool is_lonely = pattern == "!";
    if (!fault_ && (is_lonely || !is_pattern(std::string_view(pattern).substr(
                                     pattern.starts_with('!') ? 1 : 0)))) {
      fault_ = {.line = {.number = number, .text = std::string(line)},
                .why = is_lonely ? "'!' needs a pattern behind it"
                                 : "its [ ] or \\ is not closed; write [[] for a plain ["};
    }
    if (is_lonely) {
      continue;
    }
    lines_.push_back({.number = number, .text = std::string(line)});
    patterns.push_back(std::move(pattern));
  }
  patterns_ = PatternList(patterns);
}

const IgnoreFile::Line* IgnoreFile::hides(std::string_view path) const {
  PatternList::FolderMatches parent;
  const Line* hidden = nullptr;
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    PatternList::FolderMatches own;
    hidden = nullptr;
    if (patterns_.matches(path.substr(0, end), parent, &own, {})) {
      // Of a verdict the last line that matched is the reason.
      const auto last = std::find(own.rbegin(), own.rend(), true);
      hidden = &lines_[static_cast<std::size_t>(std::distance(last, own.rend())) - 1];
    }
    if (end == std::string_view::npos) {
      return hidden;
    }
    parent = std::move(own);
  }
}

}  // namespace builder::domain
