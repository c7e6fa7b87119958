// What strangers write and the daemon hands on: nothing crashes, and what a person reads stays one
// short line.
#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "base/text.hpp"
#include "domain/patterns.hpp"
#include "fakes/characters.hpp"
#include "fakes/random_text.hpp"

#include "rpc_status.pb.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace builder::adapters::buildkit {
namespace {

using domain::clean_path;
using domain::Glob;

constexpr const char* k_dockerfile =
    "# syntax=docker/dockerfile:1\n# escape=`\nARG V=1\nFROM node:20 AS Build\nRUN <<EOF "
    "cat\nx\nEOF\n"
    "RUN npm ci \\\n  # comment\n  && npm test\nCOPY --from=build a b\nFROM scratch\nCMD "
    "[\"sh\"]\n";

std::vector<std::string> pieces() {
  return {"FROM ",
          "RUN ",
          "COPY ",
          "\\\n",
          "\n",
          "<<EOF",
          "EOF",
          "#",
          "`",
          "# escape=`",
          "[1/2]",
          "${V}",
          "AS ",
          "\r\n",
          "\t",
          "\xff",
          "<<-'E'",
          "\"",
          "[build 2/5] RUN npm ci",
          "ARG ",
          " ",
          "é",
          "\0",
          "ONBUILD ",
          "failed to solve: ",
          "exit code: 7",
          "process \"/bin/sh -c x\" did not complete",
          std::string(500, 'y'),
          "dockerfile parse error line 3: ",
          "\x1b[31m",
          ":",
          "rpc error: "};
}

TEST(HostileDockerfile, EveryInstructionLiesInsideTheText) {
  fakes::RandomText random(31, pieces());
  for (int round = 0; round < 4'000; ++round) {
    const std::string text = round % 2 == 0 ? random.damage(k_dockerfile) : random.make(30);
    const Dockerfile file(text);
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    std::size_t last = 0;
    for (const Instruction& instruction : file.instructions()) {
      ASSERT_GT(instruction.lines.first, last) << testing::PrintToString(text);
      ASSERT_GE(instruction.lines.last, instruction.lines.first) << testing::PrintToString(text);
      ASSERT_LE(instruction.lines.last, lines) << testing::PrintToString(text);
      ASSERT_TRUE(file.at_line(instruction.lines.first) == &instruction);
      last = instruction.lines.last;
      ASSERT_FALSE(file.excerpt(instruction.lines).empty());
    }
    static_cast<void>(file.find_step(random.make(4)));
    static_cast<void>(file.excerpt({.first = 1'000'000, .last = 2'000'000}));
    static_cast<void>(file.at_line(0));
  }
}

TEST(HostileErrors, TheCustomersLineIsShortValidAndOneLine) {
  fakes::RandomText random(32, pieces());
  for (int round = 0; round < 3'000; ++round) {
    google::rpc::Status wire;
    auto* any = wire.add_details();
    any->set_type_url(random.below(2) == 0 ? "github.com/moby/buildkit/errdefs.Source+json"
                                           : "other.type");
    any->set_value(random.damage(
        R"({"info":{"filename":"Dockerfile"},"ranges":[{"start":{"line":3}}],"Digest":"x"})"));
    const std::string details = random.below(2) == 0 ? wire.SerializeAsString() : random.make(5);
    FailedSolve solve{.status = {grpc::StatusCode::UNKNOWN, random.make(8), details},
                      .steps = {},
                      .dockerfile = "Dockerfile",
                      .dockerfile_text = random.damage(k_dockerfile)};
    if (random.below(2) == 0) {
      solve.steps.push_back(
          {.number = 1, .digest = "d", .name = random.make(3), .error = random.make(5)});
    }
    const Explanation explanation = explain(solve);
    const std::string& line = explanation.error.customer;
    ASSERT_FALSE(line.empty() && explanation.error.kind == ErrorKind::build_failed);
    ASSERT_LE(fakes::characters_of(line), k_customer_limit) << line;
    ASSERT_TRUE(std::ranges::all_of(line, [](unsigned char c) { return c >= 0x20 && c != 0x7F; }))
        << line;
  }
}

/// The wildcards in the plainest words; moby's matcher is a translation to a regular expression.
bool plainly_matches(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) {
    return path.empty();
  }
  if (pattern.starts_with("**")) {
    std::string_view rest = pattern.substr(2);
    if (rest.starts_with('/')) {
      rest.remove_prefix(1);
    }
    if (rest.empty()) {
      return !path.empty() || pattern == "**";
    }
    // `(.*/)?` when anything follows.
    for (std::size_t at = 0; at <= path.size(); ++at) {
      if ((at == 0 || path[at - 1] == '/') && plainly_matches(rest, path.substr(at))) {
        return true;
      }
    }
    return false;
  }
  if (pattern.front() == '*') {
    for (std::size_t at = 0; at <= path.size(); ++at) {
      if (plainly_matches(pattern.substr(1), path.substr(at))) {
        return true;
      }
      if (at < path.size() && path[at] == '/') {
        break;
      }
    }
    return false;
  }
  return !path.empty() &&
         (pattern.front() == '?' ? path.front() != '/' : pattern.front() == path.front()) &&
         plainly_matches(pattern.substr(1), path.substr(1));
}

TEST(HostilePatterns, AgreeWithAPlainMatcherOnShortTexts) {
  fakes::RandomText patterns(33, {"a", "b", "/", "*", "?", "**/", "/**/", "ab"});
  fakes::RandomText paths(34, {"a", "b", "/", "ab", "a/b"});
  int matched = 0;
  for (int round = 0; round < 40'000; ++round) {
    const std::string pattern = clean_path(patterns.make(5));
    const std::string path = clean_path(paths.make(5));
    // Three stars in a row and a `**` glued to a name are in the table of PatternTable.
    if (pattern.contains("***") || path.starts_with('/') || pattern.starts_with('/')) {
      continue;
    }
    bool glued = false;
    for (std::size_t at = pattern.find("**"); at != std::string::npos;
         at = pattern.find("**", at + 1)) {
      glued = glued || (at > 0 && pattern[at - 1] != '/') ||
              (at + 2 < pattern.size() && pattern[at + 2] != '/') || at + 2 == pattern.size();
    }
    if (glued) {
      continue;
    }
    const bool expected = plainly_matches(pattern, path);
    matched += expected ? 1 : 0;
    ASSERT_EQ(Glob(pattern).matches(path), expected) << pattern << " on " << path;
  }
  EXPECT_GT(matched, 1'000);
}

}  // namespace
}  // namespace builder::adapters::buildkit
