#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::buildpacks {

/// gitignore's rules, as project.toml uses them for `include` and `exclude`: a pattern without a
/// slash matches at any depth, one with a slash from the root; `*` and `?` stay inside a part, `**`
/// crosses parts; a trailing slash means folders only; `!` takes back; what matches a folder goes
/// for everything in it. The last rule that matches decides; unlike git, one may take back what
/// lies in a matched folder.
class IgnoreRules {
 public:
  explicit IgnoreRules(const std::vector<std::string>& lines);

  /// `path`: relative, '/'-separated. Matching takes time in proportion to pattern × path, whatever
  /// the pattern.
  [[nodiscard]] bool matches(std::string_view path, bool is_folder) const;

  [[nodiscard]] bool empty() const { return rules_.empty(); }

 private:
  struct Rule {
    std::vector<std::string> parts;
    bool negated = false;
    bool folders_only = false;
  };

  [[nodiscard]] static bool matches_rule(const Rule& rule, std::string_view path, bool is_folder);

  std::vector<Rule> rules_;
};

}  // namespace builder::domain::buildpacks
