#include "domain/failures/line_pattern.hpp"

#include "base/ascii.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace builder::domain::failures {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

/// What is captured; nullopt: no match.
std::optional<Captures> found(std::string_view pattern, const std::string& line) {
  const auto parsed = LinePattern::parse(pattern);
  EXPECT_TRUE(parsed) << parsed.error().message;
  Captures captures;
  return parsed && parsed->matches(line, lower_case(line), captures) ? std::optional(captures)
                                                                     : std::nullopt;
}

TEST(LinePattern, FindsTextAnywhereInAnyCase) {
  EXPECT_TRUE(found("No Space Left", "write: no space left on device"));
  EXPECT_FALSE(found("no space left", "no space"));
  EXPECT_TRUE(found("fetch*404", "E: Failed to fetch http://x  404  Not Found"));
  EXPECT_FALSE(found("fetch*404", "404 while fetching"));
}

TEST(LinePattern, CapturesWordsWithoutWhatStandsAroundThem) {
  EXPECT_THAT(*found("{tool}: not found", "/bin/sh: 1: tsc: not found"),
              ElementsAre(Pair("tool", "tsc")));
  EXPECT_THAT(
      *found("resolve import {module} from", R"(failed to resolve import "axios" from "x")"),
      ElementsAre(Pair("module", "axios")));
  EXPECT_THAT(*found("Can't resolve {module}", "Module not found: Can't resolve './Foo'."),
              ElementsAre(Pair("module", "./Foo")))
      << "a path keeps its dots";
  EXPECT_THAT(*found("requires {python} but", "x requires '>=3.9', but y"),
              ElementsAre(Pair("python", ">=3.9")));
  EXPECT_FALSE(found("requires {python} but", "x requires a newer python but y"))
      << "a word has no blanks";
  EXPECT_FALSE(found("requires {python} but", "x requires  but y")) << "and is not empty";
}

TEST(LinePattern, CapturesTextUpToWhatFollows) {
  EXPECT_THAT(*found("error TS{code}: {message+}", "a.ts(1,2): error TS2322: Type 'a' is bad."),
              ElementsAre(Pair("code", "2322"), Pair("message", "Type 'a' is bad")));
  EXPECT_THAT(*found("the peer {name+} from", "the peer react@\"17 || 18\" from x"),
              ElementsAre(Pair("name", "react@\"17 || 18\"")));
}

TEST(LinePattern, TakesOnlyTheNamedWords) {
  EXPECT_TRUE(found("{tool:tsc,vite}: *not found", "sh: vite: not found"));
  EXPECT_FALSE(found("{tool:tsc,vite}: *not found", "sh: curl: not found"));
  EXPECT_TRUE(found("resolve '{module:./*,@/*}'", "Can't resolve '@/lib/a'"));
  EXPECT_FALSE(found("resolve '{module:./*,@/*}'", "Can't resolve 'lodash'"));
  EXPECT_TRUE(found("{file:*.sh}: not found", "sh: ./a/B.SH: not found"));
}

TEST(LinePattern, TriesMoreThanTheFirstPlace) {
  EXPECT_THAT(*found("{tool}: not", "a: b: tsc: not found"), ElementsAre(Pair("tool", "tsc")));
  EXPECT_TRUE(found("the {word} end", "the a b the c end"));
}

TEST(LinePattern, IsHeldToTheEndsOfTheLine) {
  EXPECT_TRUE(found("^SyntaxError: {what+}", "SyntaxError: invalid syntax"));
  EXPECT_FALSE(found("^SyntaxError: {what+}", "a SyntaxError: invalid syntax"));
  EXPECT_TRUE(found("not found$", "not found: tsc: not found"));
  EXPECT_FALSE(found("not found$", "tsc: not found, says the log"));
  EXPECT_FALSE(found("^{tool}: not found", "sh: tsc: not found"));
  EXPECT_TRUE(found("port {number}$", "uses port 80"));
  EXPECT_FALSE(found("port {number}$", "uses port 80 and more"));
}

TEST(LinePattern, TakesSpecialCharactersAsTheyAre) {
  EXPECT_TRUE(found(R"(make: \*\*\* [)", "make: *** [all] Error 1"));
  EXPECT_TRUE(found(R"('bash\\r')", R"(env: 'bash\r': No such file)"));
  EXPECT_TRUE(found(R"(costs 3\$)", "it costs 3$ a day"));
}

TEST(LinePattern, SaysWhatIsWrongWithIt) {
  const auto fault = [](std::string_view pattern) {
    const auto parsed = LinePattern::parse(pattern);
    return parsed ? "" : parsed.error().message;
  };
  EXPECT_THAT(fault("error {name"), HasSubstr("a { lacks its }"));
  EXPECT_THAT(fault("error {Name}"), HasSubstr("small letters"));
  EXPECT_THAT(fault("error {}"), HasSubstr("small letters"));
  EXPECT_THAT(fault("error {a}{b}"), HasSubstr("no text between them"));
  EXPECT_THAT(fault("error *{b}"), HasSubstr("no text between them"));
  EXPECT_THAT(fault("{a}: {b}"), HasSubstr("too little text"));
  EXPECT_THAT(fault(""), HasSubstr("too little text"));
}

}  // namespace
}  // namespace builder::domain::failures
