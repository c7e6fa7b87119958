#include "adapters/buildkit/diagnosis/frontend.hpp"

#include "fakes/characters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace builder::adapters::buildkit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const FrontendRules k_official =
    parse_frontend_rules("docker/dockerfile, docker/dockerfile-upstream").value();

std::vector<std::string> references(std::string_view text) {
  std::vector<std::string> names;
  for (const NamedFrontend& frontend : named_frontends(text)) {
    names.push_back(frontend.reference);
  }
  return names;
}

TEST(Frontend, IsFoundInEveryFormThatSomeBuildkitReads) {
  for (const std::string text :
       {"# syntax=evil/x:1\nFROM x\n", "#syntax = evil/x:1\r\nFROM x\r\n",
        "# Syntax\t=\tevil/x:1   and more\n", "#\fsyntax=evil/x:1\n", "#\vsyntax=evil/x:1\n",
        "#\xC2\xA0syntax=evil/x:1\n", "#\xE3\x80\x80syntax=evil/x:1\n",
        "# escape=`\n# syntax=evil/x:1\n", "# check=skip=all\n#syntax=evil/x:1",
        "# unknown=1\n# syntax=evil/x:1\n", "\xEF\xBB\xBF# syntax=evil/x:1\n",
        "#!/usr/bin/env x\n# syntax=evil/x:1\n", "\xEF\xBB\xBF#!x\n# syntax=evil/x:1\n",
        "// syntax=evil/x:1\nanything\n", "//syntax = evil/x:1\n", "{\"syntax\":\"evil/x:1\"}",
        " \n{\"a\":[1],\"\\u0073yntax\": \"evil/x:1\"}\n", "#!x\n{\"syntax\":\"evil/x:1\"}"}) {
    EXPECT_THAT(references(text), ElementsAre("evil/x:1")) << text;
    EXPECT_FALSE(check_frontends(k_official, "Dockerfile", text)) << text;
  }
}

TEST(Frontend, IsNoneWhereNoBuildkitLooksForOne) {
  for (const char* text :
       {"", "#", "#!", "FROM x\n# syntax=evil/x:1\n", "# a comment\n# syntax=evil/x:1\n",
        "\n# syntax=evil/x:1\n", "# syntax\n", "# syntax=\nFROM x\n", "# my syntax=evil/x:1\n",
        "FROM x\n{\"syntax\":\"evil/x:1\"}", "#!x\n\n", "{\"syntax\":5}"}) {
    EXPECT_THAT(references(text), IsEmpty()) << text;
  }
}

TEST(Frontend, AllOfThemHaveToBeAllowed) {
  // Engine 20.10 takes the last one, newer ones none.
  EXPECT_THAT(references("# syntax=docker/dockerfile:1\n# syntax=evil/x\n"),
              ElementsAre("docker/dockerfile:1", "evil/x"));
  const auto refused = check_frontends(k_official, "a/Dockerfile",
                                       "# syntax=docker/dockerfile:1\n# syntax=evil/x\nFROM x\n");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::build_failed);
  EXPECT_EQ(refused.error().customer,
            "a/Dockerfile:2: the frontend \"evil/x\" is not allowed here; use none or one of "
            "docker/dockerfile, docker/dockerfile-upstream");
}

TEST(Frontend, IsComparedAsAnImageReference) {
  for (const char* allowed :
       {"docker/dockerfile", "docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs",
        "index.docker.io/docker/dockerfile", "docker/dockerfile-upstream:master",
        "docker/"
        "dockerfile:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}) {
    EXPECT_TRUE(check_frontends(k_official, "D", std::string("# syntax=") + allowed + "\n"))
        << allowed;
  }
  for (const char* other :
       {"dockerfile", "docker/dockerfile2", "docker/dockerfile/x", "evil.io/docker/dockerfile",
        "localhost/docker/dockerfile", "Docker/dockerfile", "docker/dockerfile:1\tevil",
        "docker/dockerfile:1\xC2\xA0", "docker/../docker/dockerfile",
        "docker/dockerfile@sha256:0"}) {
    EXPECT_FALSE(check_frontends(k_official, "D", std::string("# syntax=") + other + "\n"))
        << other;
  }
  EXPECT_THAT(check_frontends(k_official, "D", "# syntax=docker/dockerfile:1\n").value(),
              ElementsAre("docker/dockerfile:1"));
}

TEST(Frontend, WhatCannotBeReadIsNotAllowed) {
  EXPECT_FALSE(check_frontends(k_official, "D", "{\"a\":\"\xFF\",\"syntax\":\"evil/x\"}"));
  EXPECT_FALSE(check_frontends(k_official, "D", "{ nothing"));
}

TEST(Frontend, RulesAreReadFromASetting) {
  EXPECT_TRUE(parse_frontend_rules("any")->any);
  EXPECT_TRUE(check_frontends(*parse_frontend_rules("any"), "D", "# syntax=evil/x\n"));
  const auto none = parse_frontend_rules("");
  ASSERT_TRUE(none);
  EXPECT_FALSE(check_frontends(*none, "D", "# syntax=docker/dockerfile:1\n"));
  EXPECT_TRUE(check_frontends(*parse_frontend_rules("ghcr.io/acme/front"), "D",
                              "# syntax=ghcr.io/acme/front:2\n"));
  EXPECT_FALSE(parse_frontend_rules("docker/dockerfile,UPPER"));
  const auto long_name = check_frontends(k_official, std::string(150, 'd'),
                                         "# syntax=" + std::string(5000, 'x') + "\n");
  ASSERT_FALSE(long_name);
  EXPECT_LE(fakes::characters_of(long_name.error().customer), 191U);
}

}  // namespace
}  // namespace builder::adapters::buildkit
