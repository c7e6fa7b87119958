// What it costs to hold 100,000 files against an ignore file: usual ones, long ones and hostile
// ones.
#include "domain/patterns.hpp"

#include "domain/path_automaton.hpp"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace {

using builder::domain::MatchingBudget;
using builder::domain::PatternList;

constexpr int k_folders = 1'000;
constexpr int k_files = 100;  // In each.
constexpr int k_patterns = 10'000;

void measure(std::string_view name, const std::vector<std::string>& lines,
             std::string_view file_name = "component-abab") {
  const auto begin = std::chrono::steady_clock::now();
  PatternList list(lines);
  const auto compiled = std::chrono::steady_clock::now();
  MatchingBudget budget;
  int hidden = 0;
  for (int folder = 0; folder < k_folders; ++folder) {
    const std::string path = fmt::format("packages{}", folder);
    PatternList::Folder below;
    hidden += list.matches(path, {}, &below, budget, {}) ? 1 : 0;
    for (int file = 0; file < k_files && !budget.exhausted(); ++file) {
      hidden += list.matches(fmt::format("{}/{}{}.test.ts", path, file_name, file), below, nullptr,
                             budget, {})
                    ? 1
                    : 0;
    }
  }
  const std::chrono::duration<double> compile = compiled - begin;
  const std::chrono::duration<double> match = std::chrono::steady_clock::now() - compiled;
  fmt::print(
      "{:<42} {:>6} lines: compiled {:.3f} s, {} files {:.2f} s, {} hidden, {:.2f} % of the "
      "budget{}\n",
      name, lines.size(), compile.count(), k_folders * k_files, match.count(), hidden,
      100.0 * static_cast<double>(budget.spent()) / MatchingBudget::k_steps,
      budget.exhausted() ? " (refused)" : "");
}

std::vector<std::string> numbered(std::string_view before, std::string_view behind) {
  std::vector<std::string> lines;
  for (int i = 0; i < k_patterns; ++i) {
    lines.push_back(fmt::format("{}{}{}", before, i, behind));
  }
  return lines;
}

/// Every text of `letters` with stars between them.
std::vector<std::string> subsequences() {
  std::vector<std::string> lines;
  for (unsigned i = 0; i < k_patterns; ++i) {
    std::string line = "**/";
    for (unsigned bit = 0; bit < 14; ++bit) {
      line += (i >> bit & 1U) != 0 ? "*a" : "*b";
    }
    lines.push_back(line + "*q");
  }
  return lines;
}

}  // namespace

int main() {
  measure("usual", {".git",      "node_modules", "**/node_modules", "dist",      "**/dist",
                    "*.log",     "**/*.log",     ".env*",           "!.env",     "coverage",
                    "**/*.md",   "!README.md",   "**/.DS_Store",    "test",      "**/__tests__",
                    "**/*.snap", ".github",      "Dockerfile*",     "docker-*",  "tmp/**",
                    "**/*~",     "**/*.bak",     "docs/**/*.pdf",   "**/.cache", "**/build"});
  measure("packages/pN/*.log", numbered("packages/p", "/*.log"));
  measure("**/*aN*b", numbered("**/*a", "*b"));
  measure("**/*N*", numbered("**/*", "*"));
  measure("*N/**/*.ts", numbered("*", "/**/*.ts"));
  measure("**/*a*b*b*a…*q, all of 14 letters", subsequences());
  std::string ab;
  while (ab.size() < 200) {
    ab += "ab";
  }
  measure("the same on names of 200 letters", subsequences(), ab);
}
