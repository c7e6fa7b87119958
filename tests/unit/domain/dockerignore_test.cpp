#include "domain/dockerignore.hpp"

#include <gtest/gtest.h>

namespace builder::domain {
namespace {

std::size_t line_that_hides(std::string_view text, std::string_view path) {
  IgnoreFile file(text);
  const IgnoreFile::Line* line = file.hides(path);
  return line == nullptr ? 0 : line->number;
}

std::size_t faulty_line(std::string_view text) {
  const auto fault = IgnoreFile(text).fault();
  return fault ? fault->line.number : 0;
}

TEST(IgnoreFile, NamesTheLineThatLeavesAPathOut) {
  EXPECT_EQ(line_that_hides("node_modules\n# build\n/dist\n", "dist"), 3U);
  EXPECT_EQ(line_that_hides("node_modules\n# build\n/dist/\n", "dist/a/b"), 3U);
  EXPECT_EQ(line_that_hides("**\n!src\n", "dist/x"), 1U);
  EXPECT_EQ(line_that_hides("**\n!src\n", "src/x"), 0U);
  EXPECT_EQ(line_that_hides("a\n!a\na/b\n", "a/b"), 3U);
  EXPECT_EQ(line_that_hides("\xEF\xBB\xBFsecret.txt  \r\n\r\n", "secret.txt"), 1U);
  EXPECT_EQ(line_that_hides(" # no comment\n", "#"), 0U);
  EXPECT_EQ(line_that_hides("*.txt\n! b.txt\n", "b.txt"), 0U);
  EXPECT_EQ(line_that_hides("", "a"), 0U);
}

// Each of these is what BuildKit 0.34 says to the file; see moby/patternmatcher's New.
TEST(IgnoreFile, FindsTheLineThatIsNoPattern) {
  EXPECT_EQ(faulty_line("secret[\n"), 1U);
  EXPECT_EQ(faulty_line("a\n\n!\n"), 3U);
  EXPECT_EQ(faulty_line("a/[b-\n"), 1U);
  EXPECT_EQ(faulty_line("# c\nok\nx[^\n"), 3U);
  EXPECT_EQ(faulty_line("\\\n"), 1U);
  EXPECT_EQ(faulty_line("a\\\n"), 1U);
  EXPECT_EQ(faulty_line("[]a]\n"), 1U);
  EXPECT_EQ(faulty_line("[-x]\n"), 1U);
  EXPECT_EQ(faulty_line("[x-]\n"), 1U);
  EXPECT_EQ(faulty_line("!a[\n"), 1U);
  for (const char* fine :
       {"[a-z]*", "[^a]", "[[]id]", "a\\[b", "**/*.md", "!x", "# [", "[\\]]", "é[é-ü]", "a]b"}) {
    EXPECT_EQ(faulty_line(fine), 0U) << fine;
  }
}

TEST(IgnoreFile, FindsTheLineThatIsOneTooManyOrHasTooManyStars) {
  std::string text = "# many\n";
  for (std::size_t i = 0; i < IgnoreFile::k_most_patterns; ++i) {
    text += "a" + std::to_string(i) + "\n";
  }
  EXPECT_EQ(faulty_line(text), 0U);
  EXPECT_EQ(faulty_line(text + "# none\n\n"), 0U);
  EXPECT_EQ(faulty_line(text + "\none-more\nand-more\n"), IgnoreFile::k_most_patterns + 3);
  EXPECT_EQ(line_that_hides(text + "one-more\n", "one-more"), 0U);

  std::string stars;
  for (std::size_t i = 0; i < IgnoreFile::k_most_stars; ++i) {
    stars += "*a";
  }
  EXPECT_EQ(faulty_line("x\n" + stars + "b\n"), 0U);
  EXPECT_EQ(faulty_line("x\n" + stars + "*b\n"), 2U);
  EXPECT_EQ(faulty_line("x\n" + std::string(1'000, '*') + "b\n"), 0U);
}

TEST(DefaultIgnoreFile, LeavesOutWhatTheOriginalLeavesOutAndKeepsTheServicesVariables) {
  IgnoreFile file(default_dockerignore());
  EXPECT_FALSE(file.fault());
  for (const char* out : {".env.local", ".env.development", ".env.test", ".env.production", "test",
                          "tests/a", "__tests__/a", "a.tmp", "a.temp", ".docker/config",
                          ".editorconfig", "node_modules/a", "Dockerfile.dev", "x.key"}) {
    EXPECT_NE(file.hides(out), nullptr) << out;
  }
  for (const char* in : {".env", ".env.example", "src/test", "src", "package.json"}) {
    EXPECT_EQ(file.hides(in), nullptr) << in;
  }
}

}  // namespace
}  // namespace builder::domain
