#pragma once

#include "domain/path_automaton.hpp"

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::buildpacks {

/// gitignore's rules, as project.toml uses them for `include` and `exclude`: a pattern without a
/// slash matches at any depth, one with a slash from the root; `*` and `?` stay inside a part, `**`
/// crosses parts; a trailing slash means folders only; `!` takes back; what matches a folder goes
/// for everything in it. The last rule that matches decides; unlike git, one may take back what
/// lies in a matched folder. One thread at a time.
class IgnoreRules {
 public:
  explicit IgnoreRules(const std::vector<std::string>& lines);

  /// What a folder hands down to its entries; the root's is a new one.
  class Folder {
   private:
    friend class IgnoreRules;
    std::optional<PathAutomaton::Number> last_;  // The last rule that matched.
    PathAutomaton::States states_;               // Behind the '/' after the folder's path.
    std::size_t read_ = 0;                       // The length of that.
  };

  /// `path`: relative, '/'-separated. `own` is given for a folder and becomes its own. Once the
  /// budget is exhausted or stop is requested the answer is meaningless; the caller looks at them.
  [[nodiscard]] bool matches(std::string_view path, const Folder& parent, Folder* own,
                             MatchingBudget& budget, const std::stop_token& stop = {});

  [[nodiscard]] bool empty() const { return rules_.empty(); }

 private:
  struct Rule {
    bool negated = false;
    bool folders_only = false;
  };

  std::vector<Rule> rules_;
  PathAutomaton automaton_;
};

}  // namespace builder::domain::buildpacks
