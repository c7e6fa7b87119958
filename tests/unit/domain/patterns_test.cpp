#include "domain/patterns.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace builder::domain {

namespace {

/// Matches `path` as the walk does: each folder's result is handed down.
bool matches(const std::vector<std::string>& lines, const std::string& path) {
  const PatternList list(lines);
  PatternList::FolderMatches parent;
  bool result = false;
  for (std::size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
    PatternList::FolderMatches own;
    result = list.matches(path.substr(0, slash), parent, &own, {});
    if (slash == std::string::npos) {
      return result;
    }
    parent = own;
  }
}

struct Case {
  std::vector<std::string> lines;
  std::string path;
  bool expected;
};

class PatternTable : public testing::TestWithParam<Case> {};

TEST_P(PatternTable, GivesWhatMobyGives) {
  EXPECT_EQ(matches(GetParam().lines, GetParam().path), GetParam().expected)
      << GetParam().lines.front() << " on " << GetParam().path;
}

INSTANTIATE_TEST_SUITE_P(
    Single, PatternTable,
    testing::Values(
        Case{{"a"}, "a", true}, Case{{"a"}, "b", false}, Case{{"a"}, "a/b", true},
        Case{{"a/"}, "a", true},
        // The daemon takes the leading slash away when it reads the file; the matcher does not.
        Case{{"/a"}, "a", false}, Case{{"./a"}, "a", true}, Case{{"a/../b"}, "b", true},
        Case{{" a \t"}, "a", true}, Case{{"*"}, "a/b", true}, Case{{"*.txt"}, "a.txt", true},
        Case{{"*.txt"}, "d/a.txt", false}, Case{{"*/*.txt"}, "d/a.txt", true},
        Case{{"a?c"}, "abc", true}, Case{{"a?c"}, "a/c", false}, Case{{"a?c"}, "a\u00e9c", true},
        Case{{"a?"}, "a", false}, Case{{"[a-c]x"}, "bx", true}, Case{{"[^a-c]x"}, "bx", false},
        Case{{"[^a-c]x"}, "dx", true}, Case{{"a[^b]c"}, "a/c", true}, Case{{"[]a]x"}, "]x", true},
        Case{{"[a"}, "a", false}, Case{{"a\\*b"}, "a*b", true}, Case{{"a\\*b"}, "axb", false},
        Case{{"**/x"}, "x", true}, Case{{"**/x"}, "a/b/x", true}, Case{{"**/x"}, "a/bx", false},
        Case{{"**b"}, "ab", true}, Case{{"x/**b"}, "x/ab", false}, Case{{"x/**b"}, "x/b", true},
        Case{{"x/**b"}, "x/y/b", true}, Case{{"a/**"}, "a/b/c", true}, Case{{"a/**"}, "a", false},
        Case{{"a/**/b"}, "a/b", true}, Case{{"a/**/b"}, "a/x/y/b", true}, Case{{"**"}, "a", true},
        Case{{"*a**b"}, "aaxa/b", true}, Case{{"*a**b"}, "xab", true},
        Case{{"**/*.o"}, "d/e/f.o", true}, Case{{"**/a/**/b"}, "x/a/y/z/b", true},
        Case{{"a.c"}, "abc", false}, Case{{"a+(b)"}, "a+(b)", true}, Case{{"***"}, "a", true}));

INSTANTIATE_TEST_SUITE_P(Lists, PatternTable,
                         testing::Values(Case{{"*", "!a"}, "a", false},
                                         Case{{"*", "!a"}, "b", true},
                                         Case{{"d", "!d/keep"}, "d/keep", false},
                                         Case{{"d", "!d/keep"}, "d/drop", true},
                                         Case{{"!a", "a"}, "a", true},
                                         Case{{"d", "!d/keep", "d/keep/not"}, "d/keep/not", true},
                                         Case{{"**/*.md", "!README.md"}, "README.md", false},
                                         Case{{"**/*.md", "!README.md"}, "sub/README.md", true},
                                         Case{{"", "  ", "a"}, "a", true}));

}  // namespace

TEST(Patterns, KnowWhetherAnythingBelowMayMatch) {
  const PatternList list({"a/b/c", "!d/e", "f/*"});
  EXPECT_TRUE(list.may_match_below("a"));
  EXPECT_TRUE(list.may_match_below("a/b"));
  EXPECT_FALSE(list.may_match_below("d"));
  EXPECT_TRUE(list.may_match_below("f"));
  EXPECT_TRUE(list.may_except_below("d"));
  EXPECT_FALSE(list.may_except_below("a"));
  EXPECT_TRUE(PatternList({"x/**/y"}).may_match_below("z"));
}

TEST(Patterns, TakePolynomialTimeForHostileLines) {
  std::string folders;
  std::string stars;
  for (int i = 0; i < 500; ++i) {
    folders += "**/";
    stars += "*a";
  }
  const std::string mixed_step = "**/a*/";
  std::string mixed;
  std::string path;
  for (int i = 0; i < 100; ++i) {
    mixed += mixed_step;
    path += "aaaaa/";
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(matches({folders + "b*c"}, path + "a"));
  EXPECT_FALSE(matches({stars + "b"}, std::string(2000, 'a')));
  EXPECT_FALSE(matches({mixed + "?b"}, path + "aa"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(Patterns, TakeAVeryLongLineWithoutRecursion) {
  EXPECT_FALSE(matches({std::string(1'000'000, '*') + "?x"}, "a"));
  EXPECT_FALSE(matches({"*" + std::string(1'000'000, '?')}, "a"));
}

TEST(Patterns, StopBetweenLines) {
  std::stop_source source;
  source.request_stop();
  EXPECT_FALSE(PatternList({"a"}).matches("a", {}, nullptr, source.get_token()));
}

TEST(Patterns, CleanPathsAsGoDoes) {
  EXPECT_EQ(clean_path(""), ".");
  EXPECT_EQ(clean_path("a//b/./c/.."), "a/b");
  EXPECT_EQ(clean_path("../../a"), "../../a");
  EXPECT_EQ(clean_path("/../a"), "/a");
  EXPECT_EQ(clean_path("/"), "/");
}

}  // namespace builder::domain
