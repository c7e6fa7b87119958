#include "domain/patterns.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <regex>
#include <string>
#include <vector>

namespace builder::domain {

namespace {

/// Matches `path` as the walk does: each folder's result is handed down.
bool matches(const std::vector<std::string>& lines, const std::string& path) {
  PatternList list(lines);
  MatchingBudget budget;
  PatternList::Folder parent;
  for (std::size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
    PatternList::Folder own;
    const bool result = list.matches(path.substr(0, slash), parent, &own, budget, {});
    EXPECT_FALSE(budget.exhausted());
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

// moby/patternmatcher, line by line: its regular expressions, and MatchesUsingParentResults.
class Moby {
 public:
  explicit Moby(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      const std::string text = clean_path(line);
      patterns_.emplace_back(text.starts_with('!') ? text.substr(1) : text, text.starts_with('!'));
    }
  }

  [[nodiscard]] bool matches(const std::string& path) const {
    std::vector<bool> parent(patterns_.size(), false);
    for (std::size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
      std::vector<bool> own(patterns_.size(), false);
      bool matched = false;
      for (std::size_t i = 0; i < patterns_.size(); ++i) {
        bool hit = parent[i];
        if (!hit) {
          if (patterns_[i].negated != matched) {
            continue;
          }
          hit = patterns_[i].match(path.substr(0, slash));
        }
        own[i] = hit;
        matched = hit ? !patterns_[i].negated : matched;
      }
      if (slash == std::string::npos) {
        return matched;
      }
      parent = own;
    }
  }

 private:
  struct Pattern {
    enum class Kind : std::uint8_t { exact, prefix, suffix, regex } kind = Kind::exact;
    std::string text;
    bool negated;
    std::regex regex;

    Pattern(std::string pattern, bool exclusion) : text(std::move(pattern)), negated(exclusion) {
      std::string out = "^";
      for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '*' && i + 1 < text.size() && text[i + 1] == '*') {
          const bool first = i == 0;
          i += i + 2 < text.size() && text[i + 2] == '/' ? 2U : 1U;
          if (i + 1 == text.size()) {
            kind = kind == Kind::exact ? Kind::prefix : Kind::regex;
            out += ".*";
          } else {
            kind = Kind::regex;
            out += "(.*/)?";
          }
          kind = first ? Kind::suffix : kind;
        } else if (text[i] == '*' || text[i] == '?') {
          out += text[i] == '*' ? "[^/]*" : "[^/]";
          kind = Kind::regex;
        } else if (text[i] == '\\' && i + 1 < text.size()) {
          out += std::string("\\") + text[++i];
          kind = Kind::regex;
        } else if (text[i] == '[' || text[i] == ']') {
          out += text[i];
          kind = Kind::regex;
        } else {
          out += text[i] == '.' ? "\\." : std::string(1, text[i]);
        }
      }
      regex = std::regex(out + "$");
    }

    [[nodiscard]] bool match(const std::string& path) const {
      switch (kind) {
        case Kind::exact:
          return path == text;
        case Kind::prefix:
          return path.starts_with(text.substr(0, text.size() - 2));
        case Kind::suffix:
          return path.ends_with(text.substr(2)) ||
                 (text.substr(2, 1) == "/" && path == text.substr(3));
        case Kind::regex:
          return std::regex_match(path, regex);
      }
      return false;
    }
  };

  std::vector<Pattern> patterns_;
};

TEST(Patterns, AreWhatMobysRegularExpressionsAre) {
  std::mt19937 random(7);
  const auto pick = [&random](const std::vector<std::string>& of) {
    return of[random() % of.size()];
  };
  std::size_t matched = 0;
  for (int round = 0; round < 4'000; ++round) {
    std::vector<std::string> lines;
    for (std::size_t count = 1 + random() % 6; lines.size() < count;) {
      std::string line = random() % 3 == 0 ? "!" : "";
      for (std::size_t parts = 1 + random() % 6; parts > 0; --parts) {
        line += pick({"a", "b", "ab", "/", "/", "*", "**", "**/", "?", "[ab]", "[^a]", "\\*", "."});
      }
      lines.push_back(line);
    }
    const Moby moby(lines);
    for (int i = 0; i < 20; ++i) {
      std::string path;
      for (std::size_t parts = 1 + random() % 6; parts > 0; --parts) {
        path += pick({"a", "b", "ab", "/a", "/b", ".", "*"});
      }
      path = clean_path(path);
      path.erase(0, path.starts_with('/') ? 1 : 0);
      const bool expected = moby.matches(path);
      matched += expected ? 1 : 0;
      ASSERT_EQ(matches(lines, path), expected) << testing::PrintToString(lines) << " on " << path;
    }
  }
  EXPECT_GT(matched, 10'000U);
}

std::uint64_t cost(const std::vector<std::string>& lines, const std::string& path) {
  PatternList list(lines);
  MatchingBudget budget;
  static_cast<void>(list.matches(path, {}, nullptr, budget, {}));
  return budget.spent();
}

TEST(Patterns, TakeAFewStepsForEachWildcardAndCharacter) {
  for (const auto& [pattern, wildcards] :
       std::vector<std::pair<std::string, std::size_t>>{{"**/**/**/**/**/**/**/*a*a*a*a*a*b", 7},
                                                        {"*a*a*a*a*a*a*a*a*a*a*b", 11},
                                                        {"**/*a*/**/*a*/**/*ab", 8},
                                                        {"**a**a**a**a**b", 5},
                                                        {"**/a?a?a?a?b", 1}}) {
    for (const std::size_t length : {100U, 1'000U, 10'000U}) {
      std::string path;
      while (path.size() < length) {
        path += path.size() % 20 == 19 ? '/' : 'a';
      }
      EXPECT_FALSE(matches({pattern}, path));
      // Behind each wildcard may stand what was read since: here up to eleven characters.
      EXPECT_LE(cost({pattern}, path), (5 * wildcards + 10) * length) << pattern;
      EXPECT_GT(cost({pattern}, path), 0U) << pattern;
    }
  }
}

TEST(Patterns, CostNoMoreForBeingMany) {
  const auto cost_of = [](std::size_t count, const std::string& before, const std::string& behind) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < count; ++i) {
      lines.push_back(before + std::to_string(i) + behind);
    }
    return cost(lines, "packages/a17/src/main.cpp");
  };
  for (const auto& [before, behind] : std::vector<std::pair<std::string, std::string>>{
           {"packages/a", "/*.log"}, {"**/*a", "*b"}, {"**/a", "/**"}, {"!**/a?", "*"}}) {
    EXPECT_LE(cost_of(10'000, before, behind), 2 * cost_of(100, before, behind) + 200) << before;
  }
}

TEST(Patterns, TakeAVeryLongLineWithoutRecursion) {
  EXPECT_FALSE(matches({std::string(1'000'000, '*') + "?x"}, "a"));
  EXPECT_FALSE(matches({"*" + std::string(1'000'000, '?')}, "a"));
}

TEST(Patterns, AreNotHeldAgainstMoreThanTheBudget) {
  PatternList list({"**/*a*b*c"});
  const std::string path(1'000, 'a');
  const std::uint64_t needed = cost({"**/*a*b*c"}, path);
  MatchingBudget enough(needed);
  EXPECT_FALSE(list.matches(path, {}, nullptr, enough, {}));
  EXPECT_FALSE(enough.exhausted());
  MatchingBudget little(needed / 10);
  static_cast<void>(list.matches(path, {}, nullptr, little, {}));
  EXPECT_TRUE(little.exhausted());
  EXPECT_LT(little.spent(), needed / 5);
}

TEST(Patterns, StopInTheMiddleOfAPath) {
  std::stop_source source;
  source.request_stop();
  MatchingBudget budget;
  EXPECT_FALSE(PatternList({"a"}).matches("a", {}, nullptr, budget, source.get_token()));
}

TEST(Patterns, TellBytesThatAreNoTextApart) {
  EXPECT_FALSE(matches({"a?b"},
                       "a\xE0\x80\xAF"
                       "b"));  // An overlong '/': three bytes.
  EXPECT_TRUE(matches({"a???b"},
                      "a\xE0\x80\xAF"
                      "b"));
  EXPECT_TRUE(matches({"*\xFF"}, "x\xFF"));
  EXPECT_FALSE(matches({"*\xFF"}, "x\xFE"));
}

TEST(Patterns, CleanPathsAsGoDoes) {
  EXPECT_EQ(clean_path(""), ".");
  EXPECT_EQ(clean_path("a//b/./c/.."), "a/b");
  EXPECT_EQ(clean_path("../../a"), "../../a");
  EXPECT_EQ(clean_path("/../a"), "/a");
  EXPECT_EQ(clean_path("/"), "/");
}

}  // namespace builder::domain
