// Patterns answer for any path, and a folder is not passed by in which one could match.
#include "domain/patterns.hpp"

#include "fuzz/target.hpp"

#include <algorithm>
#include <vector>

BUILDER_FUZZ(patterns) {
  using namespace builder::domain;
  const std::size_t border = std::min(input.find('\0'), input.size());
  std::string_view lines = input.substr(0, border);
  std::vector<std::string> patterns;
  bool excepts = false;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    patterns.emplace_back(line);
    excepts = excepts || line.contains('!');
  }
  const std::string path = clean_path(input.substr(std::min(border + 1, input.size())));
  builder::fuzz::expect(clean_path(path) == path, "not clean at once: " + path);
  PatternList list(patterns);
  MatchingBudget budget;
  const bool hit = list.matches(path, {}, nullptr, budget, {}) && !budget.exhausted();
  const std::size_t slash = path.find('/');
  if (hit && !excepts && slash != std::string::npos && slash > 0) {
    builder::fuzz::expect(list.may_match_below(path.substr(0, slash)),
                          "a folder would be passed by: " + path);
  }
}
