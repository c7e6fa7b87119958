#include "adapters/buildkit/diagnosis/final_image.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::buildkit {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;

const std::string k_pinned_digest = "sha256:" + std::string(64, 'a');
const std::string k_other = "sha256:" + std::string(64, 'b');
const ports::ImagePins k_pins{{"docker.io/library/node:22", k_pinned_digest},
                              {"docker.io/library/build:latest", k_pinned_digest},
                              {"r.test:5000/base:latest", k_pinned_digest}};

TEST(WithPins, WritesTheDigestBehindAnImageInPlainLetters) {
  EXPECT_EQ(with_pins("# a\r\nFROM node:22\r\nFROM --platform=linux/amd64 node:22 AS node:22\n"
                      "from\tr.test:5000/base\nFROM docker.io/library/node:22",
                      k_pins),
            "# a\r\nFROM node:22@" + k_pinned_digest + "\r\nFROM --platform=linux/amd64 node:22@" +
                k_pinned_digest +
                " AS node:22\n"
                "from\tr.test:5000/base@" +
                k_pinned_digest + "\nFROM docker.io/library/node:22@" + k_pinned_digest);
}

TEST(WithPins, LeavesEverythingElseAsItIs) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("FROM"), std::string("FROM scratch\n"),
        std::string("FROM node:23\n"), std::string("ARG V=22\nFROM node:$V\n"),
        std::string("FROM \\\n  node:22\n"), std::string("FROM \"node:22\"\n"),
        "FROM node:22@" + k_other + "\n", std::string("FROM x AS build\nFROM build\nFROM BUILD\n"),
        std::string("FROM x\nRUN cat <<E\nFROM node:22\nE\nCOPY --from=node:22 a b\n")}) {
    EXPECT_EQ(with_pins(text, k_pins), text);
  }
}

std::optional<domain::BaseImage> base_of(std::string_view text, std::string_view target = {},
                                         bool by_text = false) {
  return base_of_result(Dockerfile(text), target, k_pins, by_text);
}

TEST(BaseOfResult, IsTheImageOfTheLastStageWithWhatIsKnownOfItsDigest) {
  const domain::BaseImage pinned{"docker.io/library/node:22", k_pinned_digest};
  EXPECT_EQ(base_of("FROM node:22"), pinned);
  EXPECT_EQ(base_of("FROM node:22 AS a\nFROM x\nFROM a\n"), pinned);
  EXPECT_EQ(base_of("FROM node:22 AS a\nFROM x\n", "A"), pinned);
  EXPECT_EQ(base_of("FROM node:22\nFROM r.test/x:1"), (domain::BaseImage{"r.test/x:1", ""}));
  EXPECT_EQ(base_of("FROM node:22@" + k_other),
            (domain::BaseImage{"docker.io/library/node:22", k_other}));
  EXPECT_EQ(base_of("FROM node@" + k_other), (domain::BaseImage{"", k_other}));
}

TEST(BaseOfResult, IsNotGuessed) {
  for (const char* text : {"", "RUN x", "FROM scratch", "FROM scratch AS a\nFROM a",
                           "ARG V=22\nFROM node:$V", "FROM node:${V:-22}", "FROM \"node:22\""}) {
    EXPECT_EQ(base_of(text), std::nullopt) << text;
  }
  EXPECT_EQ(base_of("FROM node:22", "missing"), std::nullopt);
  EXPECT_EQ(base_of("FROM \\\n node:22")->digest, k_pinned_digest);
  EXPECT_EQ(base_of("FROM \\\n node:22", {}, true)->digest, "") << "with_pins leaves it";
}

auto left(std::string_view text) {
  return labels_left({{"a.source", "s"}, {"a.revision", "r"}}, text);
}

TEST(LabelsLeft, AreThoseThatTheDockerfileDoesNotSet) {
  EXPECT_EQ(left("FROM x\nLABEL a.title=\"costs $5\" b=$C\n").size(), 2u);
  for (const char* text :
       {"FROM x\nLABEL a.source=x\n", "FROM x AS a\nLABEL x=y \"a.source\"=\"z\"\nFROM a",
        "FROM x\nLABEL a.source x y\n", "FROM x\nLABEL b=c \\\n  a.\\\nsource=x\n",
        "FROM x\nlabel a\".sou\"rce=x\n", "# escape=`\nFROM x\nLABEL a.`\nsource=x",
        "# syntax=docker/dockerfile:1\nFROM x\nLABEL a.source=x",
        "# syntax=docker/dockerfile-upstream:master\nFROM x\nLABEL a.source=x"}) {
    EXPECT_THAT(left(text), ElementsAre(Key("a.revision"))) << text;
  }
}

TEST(LabelsLeft, AreNoneWhereItCannotBeTold) {
  for (const char* text :
       {"FROM x\nLABEL $NAME=x\n", "FROM x\nLABEL b=c ${P}.source=x\n", "FROM x\nLABEL $NAME x\n",
        "# syntax=someone/frontend:1\nFROM x\n",
        "# syntax=docker.evil/docker/dockerfile:1\nFROM x\n", "# syntax=$X\nFROM x\n"}) {
    EXPECT_THAT(left(text), IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace builder::adapters::buildkit
