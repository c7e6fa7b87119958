#include "domain/failures/failure_rules.hpp"

#include "domain/customer_line.hpp"
#include "fakes/characters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace builder::domain::failures {
namespace {

using testing::HasSubstr;

/// A file of cases/: a head of `key: value` lines, `---`, and what the step printed. `step`, `exit`
/// and `ending` are what is known of the failure; `said` what was said about it, its lines joined
/// by ` | `. `rule` is the one that fits, or `none`; `sentence` what it says.
struct Case {
  std::string name;
  std::map<std::string, std::string> head;
  std::string output;

  [[nodiscard]] std::string at(const std::string& key) const {
    const auto found = head.find(key);
    return found == head.end() ? "" : found->second;
  }
};

Case read_case(const std::filesystem::path& path) {
  Case read{.name = path.stem(), .head = {}, .output = {}};
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && line != "---";) {
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) {
      ADD_FAILURE() << path << ": " << line;
      break;
    }
    read.head[line.substr(0, colon)] = line.substr(colon + 2);
  }
  std::ostringstream rest;
  rest << file.rdbuf();
  read.output = rest.str();
  return read;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& entry : std::filesystem::directory_iterator(BUILDER_FAILURES)) {
    all.push_back(read_case(entry.path()));
  }
  std::ranges::sort(all, {}, &Case::name);
  return all;
}

std::optional<Explanation> explained(const Case& given, const FailureRules& rules,
                                     const std::string& output) {
  std::string said = given.at("said");
  for (std::size_t bar = said.find(" | "); bar != std::string::npos; bar = said.find(" | ")) {
    said.replace(bar, 3, "\n");
  }
  const std::string step = given.at("step");
  const std::string ending = given.at("ending");
  const std::string exit = given.at("exit");
  return rules.explain({.step = step,
                        .exit_code = exit.empty() ? std::nullopt : std::optional(std::stoi(exit)),
                        .output = output,
                        .error = said,
                        .ending = ending});
}

TEST(FailureRules, EachCaseMeetsItsRule) {
  for (const Case& given : cases()) {
    const auto why = explained(given, failure_rules(), given.output);
    EXPECT_EQ(why ? why->reason : "none", given.at("rule")) << given.name;
    EXPECT_EQ(why ? why->sentence : "", given.at("sentence")) << given.name;
  }
}

TEST(FailureRules, ColoursAndPrefixesOfStepsChangeNothing) {
  for (const Case& given : cases()) {
    std::istringstream lines(given.output);
    std::string dressed;
    for (std::string line; std::getline(lines, line);) {
      const bool has_prefix = line.starts_with('#');
      dressed += (has_prefix ? "" : "#12 345.678 ") + ("\x1b[31m" + line) + "\x1b[0m\r\n";
    }
    const auto why = explained(given, failure_rules(), dressed);
    EXPECT_EQ(why ? why->reason : "none", given.at("rule")) << given.name;
  }
}

TEST(FailureRules, EachRuleHasACase) {
  std::set<std::string> met;
  for (const Case& given : cases()) {
    met.insert(given.at("rule"));
  }
  for (const Rule& rule : failure_rules().rules()) {
    EXPECT_TRUE(met.contains(rule.name)) << rule.name;
  }
  EXPECT_GE(failure_rules().rules().size(), 60U);
}

TEST(FailureRules, EachSentenceFitsAndSaysWhatToDo) {
  for (const Case& given : cases()) {
    const auto why = explained(given, failure_rules(), given.output);
    if (!why) {
      continue;
    }
    for (const std::string& text : {why->sentence, why->suggestion}) {
      EXPECT_EQ(text.find_first_of("{}\n"), std::string::npos) << given.name << ": " << text;
    }
    EXPECT_LE(fakes::characters_of(why->sentence), k_customer_limit) << why->sentence;
    EXPECT_THAT(why->sentence, HasSubstr("; ")) << "what happened; what to do";
    EXPECT_GE(why->suggestion.size(), 20U) << given.name;
  }
  // A place, a command and an exit code stand before it in the status.
  constexpr std::size_t k_form = 125;
  for (const Rule& rule : failure_rules().rules()) {
    EXPECT_LE(fakes::characters_of(rule.sentence), k_form) << rule.name;
  }
}

TEST(FailureRules, LongCapturesAreCut) {
  const auto why = failure_rules().explain(
      {.step = "RUN npm run x",
       .exit_code = 1,
       .output = "npm error Missing script: \"" + std::string(5'000, 'x') + "\"\n"});
  ASSERT_TRUE(why);
  EXPECT_LE(fakes::characters_of(why->sentence), k_customer_limit);
}

TEST(FailureRules, WhatStandsFarFromTheEndDoesNotCount) {
  const std::string early = "sh: 1: tsc: not found\n";
  std::string later;
  for (int i = 0; i < 40; ++i) {
    later += "something else " + std::to_string(i) + "\n";
  }
  EXPECT_TRUE(failure_rules().explain({.exit_code = 1, .output = early}));
  EXPECT_FALSE(failure_rules().explain({.exit_code = 1, .output = early + later}));
  const std::string huge(2 * FailureRules::k_most_output, 'x');
  EXPECT_FALSE(failure_rules().explain({.exit_code = 1, .output = early + huge}));
}

TEST(FailureRules, WhatStandsBeforeAnEndThatWasGoodDoesNotCount) {
  const std::string early = "sh: 1: tsc: not found\n";
  const std::string good = "added 3 packages in 2s\n";
  EXPECT_TRUE(failure_rules().explain({.exit_code = 1, .output = good + early}));
  EXPECT_FALSE(failure_rules().explain({.exit_code = 1, .output = early + good}));
  EXPECT_FALSE(failure_rules().explain({.exit_code = 1, .output = early + good + "stopped\n"}));
}

TEST(FailureRules, AnyBytesAreRead) {
  std::string bytes;
  for (int i = 0; i < 70'000; ++i) {
    bytes += static_cast<char>(i * 7);
  }
  const auto why = failure_rules().explain(
      {.step = bytes, .exit_code = 1, .output = bytes + "\nnpm error code E404\n", .error = bytes});
  EXPECT_TRUE(why);
}

TEST(FailureRules, AFaultInTheFileIsNamed) {
  const auto fault = [](const std::string& text) {
    const auto parsed = FailureRules::parse(text);
    return parsed ? "" : parsed.error().message;
  };
  const auto rule = [&](const std::string& lines) {
    return fault(
        "[[rule]]\nname = \"a-b\"\ncategory = \"customer\"\nsentence = \"a; b\"\n"
        "suggestion = \"c\"\n" +
        lines);
  };
  EXPECT_EQ(rule("all = ['error']\n"), "");
  EXPECT_THAT(rule(""), HasSubstr("rule a-b: it fits every failure"));
  EXPECT_THAT(rule("al = ['error']\n"), HasSubstr("there is no key 'al'"));
  EXPECT_THAT(rule("all = [3]\n"), HasSubstr("no list of texts"));
  EXPECT_THAT(rule("all = ['{']\n"), HasSubstr("lacks its }"));
  EXPECT_THAT(fault("x = 1"), HasSubstr("no rules"));
  EXPECT_THAT(fault("[[rule]]\nname = \"A\"\n"), HasSubstr("small letters"));
  EXPECT_THAT(fault("[[rule]]\nname = \"a\"\ncategory = \"x\"\n"), HasSubstr("the category is"));
  const auto sentence = [&](const std::string& text) {
    return fault(
        "[[rule]]\nname = \"a\"\ncategory = \"network\"\nany = ['no {one}', 'no more']\n"
        "suggestion = \"c\"\nsentence = \"" +
        text + "\"\n");
  };
  EXPECT_EQ(sentence("no {one|more}"), "");
  EXPECT_THAT(sentence("no {one}"), HasSubstr("not captured by every pattern"));
  EXPECT_THAT(sentence("no {one"), HasSubstr("lacks its }"));
  EXPECT_THAT(sentence(""), HasSubstr("a text is missing"));
  const std::string one =
      "[[rule]]\nname = \"a\"\ncategory = \"network\"\nexit = [1]\nsentence = \"a\"\n"
      "suggestion = \"c\"\n";
  EXPECT_THAT(fault(one + one), HasSubstr("another rule has this name"));
}

Explanation of(const std::string& sentence) {
  return {.reason = "a", .sentence = sentence, .brief = sentence, .suggestion = "b"};
}

TEST(WithSentence, TakesThePlaceOfTheLastWords) {
  EXPECT_EQ(with_sentence("Dockerfile:3: \"RUN npm ci\" failed with exit code 1", "npm error x",
                          of("the lock file is old; write it anew")),
            "Dockerfile:3: \"RUN npm ci\" failed with exit code 1: the lock file is old; write it "
            "anew");
  EXPECT_EQ(with_sentence("Buildpack acme/node 1.0 failed to build this app; see its output above",
                          "", of("the lock file is old; write it anew")),
            "Buildpack acme/node 1.0 failed to build this app: the lock file is old; write it "
            "anew");
}

TEST(WithSentence, ALineWithAReasonStaysAsItIs) {
  const std::string line = "Dockerfile:3: \"RUN ./a.sh\" failed with exit code 127: a.sh has CRLF";
  EXPECT_EQ(with_sentence(line, "", of("another; reason")), line);
}

TEST(WithSentence, ALongCommandMakesRoom) {
  const std::string sentence = "package-lock.json does not fit package.json; run npm install";
  const std::string line =
      with_sentence("Dockerfile:3: \"RUN " + std::string(100, 'x') + "\" failed with exit code 1",
                    "x", of(sentence));
  EXPECT_LE(fakes::characters_of(line), k_customer_limit);
  EXPECT_TRUE(line.ends_with("…\" failed with exit code 1: " + sentence)) << line;
  EXPECT_TRUE(line.starts_with("Dockerfile:3: \"RUN xxxxxxxxxx")) << line;
}

TEST(WithSentence, LongQuotesLeaveWhatToDoWhole) {
  const std::string line =
      "Dockerfile:3: \"RUN " + std::string(100, 'x') + "\" failed with exit code 127";
  const std::string path = "./" + std::string(200, 'y') + ".sh";
  for (const auto& [output, cure] :
       {std::pair{"sh: 1: " + path + ": not found", "; COPY the one or install the other"},
        {"cat: can't open '" + path + "': No such file or directory",
         "; COPY it before, and check its name, WORKDIR and .dockerignore"},
        {"/usr/bin/env: '" + std::string(200, 'y') + "': No such file or directory",
         "; install it in a step before, or correct its name"},
        {"src/a.ts(1,1): error TS2304: " + std::string(200, 'y'),
         "; mend it, npx tsc --noEmit shows it"}}) {
    const auto why = failure_rules().explain({.exit_code = 127, .output = output});
    ASSERT_TRUE(why) << output;
    const std::string status = with_sentence(line, "x", *why);
    EXPECT_LE(fakes::characters_of(status), k_customer_limit) << status;
    EXPECT_TRUE(status.ends_with(cure)) << status;
    EXPECT_TRUE(status.starts_with("Dockerfile:3: \"RUN xxxxxxxxxx")) << status;
  }
}

TEST(WithSentence, EachCaseFitsTheStatus) {
  const std::string line =
      "Dockerfile:3: \"RUN " + std::string(100, 'x') + "\" failed with exit code 127";
  for (const Case& given : cases()) {
    const auto why = explained(given, failure_rules(), given.output);
    if (!why) {
      continue;
    }
    const std::string status = with_sentence(line, "x", *why);
    EXPECT_LE(fakes::characters_of(status), k_customer_limit) << given.name << ": " << status;
    EXPECT_TRUE(status.ends_with(why->sentence) || status.ends_with(why->brief)) << given.name;
  }
}

}  // namespace
}  // namespace builder::domain::failures
