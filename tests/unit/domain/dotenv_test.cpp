#include "domain/dotenv.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What the readers make of these forms is tried with the readers themselves:
// tests/system/test_dotenv.py.

DotenvFile write(std::vector<EnvironmentVariable> variables) {
  return write_dotenv(variables);
}

TEST(Dotenv, ValuesThatSomeFormSuitsAreWrittenInItWithoutAWarning) {
  const std::pair<const char*, const char*> table[] = {
      {"abc-1.2:/x", "abc-1.2:/x"},
      {"", ""},
      {" a # b ", "' a # b '"},
      {"$HOME", "'$HOME'"},
      {"say \"hi\"", "'say \"hi\"'"},
      {"C:\\dir\\new", "'C:\\dir\\new'"},
      {"dir\\", "dir\\"},
      {"it's", "\"it's\""},
      {"é", "'é'"},
      {"{\"a\":\"b\\nc\"}", "'{\"a\":\"b\\nc\"}'"},
  };
  for (const auto& [value, text] : table) {
    const DotenvFile file = write({{"K", value}});
    EXPECT_EQ(file.content, std::string("K=") + text + "\n");
    EXPECT_THAT(file.warnings, IsEmpty()) << value;
  }
}

TEST(Dotenv, LineEndsAreEscapedAndSaidOncePerFile) {
  const DotenvFile file = write({{"A", "a\nB=1"}, {"C", "a\r\nb"}});
  EXPECT_EQ(file.content, "A=\"a\\nB=1\"\nC=\"a\\r\\nb\"\n");
  EXPECT_THAT(file.warnings, ElementsAre(HasSubstr("DOTENV_LINEBREAK_MODE")));
}

TEST(Dotenv, WhereNoFormSuitsTheWarningNamesTheReaders) {
  const std::tuple<const char*, const char*, const char*> table[] = {
      {"${HOME}", "'${HOME}'", "python-dotenv expands"},
      {"a\\\\b", "'a\\\\b'", "python-dotenv halves"},
      {"a\\b\\", "a\\b\\", "Ruby's dotenv 3"},
      {"it's $5", "\"it's $5\"", "Go, Ruby and Symfony expand"},
      {"it's \"x\" or", "\"it's \\\"x\\\" or\"", "the readers of Node"},
      {"it's $(x)\"", "\"it's \\$(x)\\\"\"", "Node, python-dotenv, Ruby, Symfony, Go"},
      {"a=\"b", "\"a=\\\"b\"", "the readers of Node"},
  };
  for (const auto& [value, text, warning] : table) {
    const DotenvFile file = write({{"K", value}});
    EXPECT_EQ(file.content, std::string("K=") + text + "\n");
    EXPECT_THAT(file.warnings, ElementsAre(HasSubstr(warning))) << value;
  }
}

TEST(Dotenv, WhatWouldSpoilTheFileIsLeftOutWithoutShowingTheValue) {
  const DotenvFile file = write({{"END", "secret \\"},
                                 {"MIX", "'secret\\\"'"},
                                 {"NUL", std::string("sec\0ret", 7)},
                                 {"A B", "secret"},
                                 {"X=Y", "secret"},
                                 {"", "secret"},
                                 {std::string(257, 'k'), "secret"},
                                 {"GOOD", "1"}});
  EXPECT_EQ(file.content, "GOOD=1\n");
  EXPECT_EQ(file.written, 1u);
  EXPECT_EQ(file.warnings.size(), 7u);
  for (const std::string& warning : file.warnings) {
    EXPECT_THAT(warning, HasSubstr("is not written to .env"));
    EXPECT_FALSE(warning.contains("sec")) << warning;
  }
}

TEST(Dotenv, NamesThatSomeReaderRefusesAreWrittenWithAWarning) {
  for (const char* name : {"A-B", "A.B", "1A", "__A", "_1", "_"}) {
    const DotenvFile file = write({{name, "v"}});
    EXPECT_EQ(file.content, std::string(name) + "=v\n");
    EXPECT_EQ(file.warnings.size(), 1u) << name;
  }
  for (const char* name : {"A", "a1", "_A", "A__B", "export"}) {
    EXPECT_THAT(write({{name, "v"}}).warnings, IsEmpty()) << name;
  }
}

TEST(Dotenv, OfEqualNamesTheLastCountsAtThePlaceOfTheFirst) {
  EXPECT_EQ(write({{"A", "1"}, {"B", "2"}, {"A", "3"}}).content, "A=3\nB=2\n");
}

}  // namespace
}  // namespace builder::domain
