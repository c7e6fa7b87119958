#include "domain/buildpacks/ignore_rules.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace builder::domain::buildpacks {
namespace {

/// Matches `path` as the walk does: each folder hands down what it has.
bool matches(const std::vector<std::string>& lines, std::string_view path, bool is_folder) {
  IgnoreRules rules(lines);
  MatchingBudget budget;
  IgnoreRules::Folder parent;
  for (std::size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
    IgnoreRules::Folder own;
    const bool is_last = slash == std::string_view::npos;
    const bool matched = rules.matches(path.substr(0, slash), parent,
                                       !is_last || is_folder ? &own : nullptr, budget);
    EXPECT_FALSE(budget.exhausted());
    if (is_last) {
      return matched;
    }
    parent = own;
  }
}

bool file(const std::vector<std::string>& lines, std::string_view path) {
  return matches(lines, path, false);
}

bool folder(const std::vector<std::string>& lines, std::string_view path) {
  return matches(lines, path, true);
}

TEST(IgnoreRules, NamesMatchAtAnyDepth) {
  EXPECT_TRUE(file({"a.txt"}, "a.txt"));
  EXPECT_TRUE(file({"a.txt"}, "x/y/a.txt"));
  EXPECT_FALSE(file({"a.txt"}, "a.txt2"));
  EXPECT_TRUE(file({"*.md"}, "docs/readme.md"));
}

TEST(IgnoreRules, ASlashAnchorsAtTheRoot) {
  EXPECT_TRUE(file({"/a"}, "a"));
  EXPECT_FALSE(file({"/a"}, "x/a"));
  EXPECT_TRUE(file({"x/a"}, "x/a"));
  EXPECT_FALSE(file({"x/a"}, "y/x/a"));
  EXPECT_FALSE(file({"x/*.c"}, "x/y/z.c"));
}

TEST(IgnoreRules, AMatchedFolderTakesItsContentAlong) {
  EXPECT_TRUE(file({"build"}, "build/a/b"));
  EXPECT_TRUE(file({"build/"}, "x/build/a"));
  EXPECT_TRUE(folder({"build/"}, "build"));
  EXPECT_FALSE(file({"build/"}, "build"));
}

TEST(IgnoreRules, StarsCrossPartsOnlyWhenDoubled) {
  EXPECT_TRUE(file({"**/foo"}, "a/b/foo"));
  EXPECT_TRUE(file({"**/foo"}, "foo"));
  EXPECT_TRUE(file({"a/**/b"}, "a/b"));
  EXPECT_TRUE(file({"a/**/b"}, "a/x/y/b"));
  EXPECT_TRUE(file({"a/**"}, "a/x"));
  EXPECT_FALSE(folder({"a/**"}, "a"));
  EXPECT_FALSE(file({"a*c"}, "a/c"));
  EXPECT_TRUE(file({"**"}, "anything/at/all"));
}

TEST(IgnoreRules, CharactersAndSets) {
  EXPECT_TRUE(file({"a?c"}, "abc"));
  EXPECT_TRUE(file({"a[b-d]e"}, "ace"));
  EXPECT_FALSE(file({"a[!b-d]e"}, "ace"));
  EXPECT_TRUE(file({"a[]]b"}, "a]b"));
  EXPECT_TRUE(file({"a[b"}, "a[b"));
  EXPECT_TRUE(file({"\\#x"}, "#x"));
  EXPECT_TRUE(file({"\\!x"}, "!x"));
  EXPECT_TRUE(file({"a\\*"}, "a*"));
  EXPECT_FALSE(file({"a\\*"}, "ab"));
}

TEST(IgnoreRules, TheLastMatchDecides) {
  EXPECT_FALSE(file({"*.txt", "!keep.txt"}, "keep.txt"));
  EXPECT_TRUE(file({"!keep.txt", "*.txt"}, "keep.txt"));
  EXPECT_FALSE(file({"vendor/", "!vendor/a"}, "vendor/a"));
}

TEST(IgnoreRules, EmptyLinesAndCommentsAreNoRules) {
  EXPECT_TRUE(IgnoreRules({"", "# x", "   ", "/", "!", "\r\n"}).empty());
  EXPECT_TRUE(file({"a  "}, "a"));
}

TEST(IgnoreRules, HostilePatternsTakeNoTime) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string stars = "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b";
  EXPECT_FALSE(file({stars}, std::string(5'000, 'a')));
  std::string deep;
  std::string pattern;
  for (int i = 0; i < 200; ++i) {
    deep += "a/";
    pattern += "**/a/";
  }
  EXPECT_FALSE(file({pattern + "b"}, deep + "c"));
  EXPECT_FALSE(file({std::string(4'096, '[')}, "x"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace builder::domain::buildpacks
