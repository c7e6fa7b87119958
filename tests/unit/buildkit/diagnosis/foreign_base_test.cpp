#include "adapters/buildkit/diagnosis/foreign_base.hpp"

#include "adapters/oci/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::buildkit {
namespace {

const std::vector<std::string> k_both{"linux/amd64", "linux/arm64"};

/// "!" before the line of an image that only other stages are made of; empty: it is right.
std::string judged(std::string_view text, const std::string& platform, const std::string& name,
                   std::string_view found, const std::string& target = "") {
  const auto finding = ForeignBases("Dockerfile", text, target, k_both, {{"GIVEN", "node:22"}})
                           .judge({.platform = platform, .name = name}, found);
  return finding ? (finding->spoils_result ? "" : "!") + finding->line : "";
}

TEST(ForeignBase, StepsTellWhichImageIsLookedUpForWhichPlatform) {
  EXPECT_EQ(looked_up_image("[linux/arm64 internal] load metadata for docker.io/library/a:1", ""),
            (LookedUpImage{.platform = "linux/arm64", .name = "docker.io/library/a:1"}));
  EXPECT_EQ(looked_up_image("[linux/arm/v7 internal] load metadata for a/b@sha256:1", "")->name,
            "a/b@sha256:1");
  EXPECT_EQ(looked_up_image("[internal] load metadata for a", "linux/arm64"),
            (LookedUpImage{.platform = "linux/arm64", .name = "a"}));
  for (const char* step :
       {"[internal] load metadata for a", "[web internal] load metadata for a",
        "[linux/arm64 internal] load build context", "[linux/arm64 internal] load metadata for ",
        "[linux/arm64 internal] load metadata for a b", "[linux/arm64 1/4] FROM a", "[]", ""}) {
    EXPECT_EQ(looked_up_image(step, ""), std::nullopt) << step;
  }
}

TEST(ForeignBase, AConfigurationSaysWhatAnImageIsFor) {
  EXPECT_EQ(oci::platform_of_config(R"({"architecture":"amd64","os":"linux"})"), "linux/amd64");
  EXPECT_EQ(oci::platform_of_config(R"({"architecture":"arm","variant":"v7"})"), "linux/arm/v7");
  for (const char* nothing : {"", "[]", "{", R"({"os":"linux"})", R"({"architecture":1})"}) {
    EXPECT_EQ(oci::platform_of_config(nothing), "") << nothing;
  }
}

TEST(ForeignBase, OnlyWhatTheResultIsMadeOfSpoilsIt) {
  const std::string text =
      "FROM --platform=$BUILDPLATFORM tools:1 AS cross\n"
      "FROM tools:1 AS tools\n"
      "FROM node AS base\n"
      "FROM base\n"
      "COPY --from=tools /a /a\n"
      "COPY --from=copied /a /a\n";
  const std::string node = "docker.io/library/node:latest";
  const std::string tools = "docker.io/library/tools:1";
  EXPECT_EQ(judged(text, "linux/arm64", node, "linux/amd64"),
            "Dockerfile:3: base image \"docker.io/library/node:latest\" is for linux/amd64 alone, "
            "and linux/arm64 is built of it as well; use one for both");
  EXPECT_EQ(judged(text, "linux/arm64", tools, "linux/amd64"),
            "!Dockerfile:2: base image \"docker.io/library/tools:1\" is for linux/amd64, not "
            "linux/arm64: its programs may not run there");
  EXPECT_EQ(judged(text, "linux/amd64", tools, "linux/amd64"), "");
  EXPECT_EQ(judged(text, "linux/arm64", "docker.io/library/copied:latest", "linux/amd64"), "");
  EXPECT_EQ(judged(text, "linux/arm64", node, "linux/arm64/v8"), "");
  EXPECT_EQ(judged(text, "linux/amd64", node, "linux/386"), "");
  EXPECT_THAT(judged(text, "linux/arm64", node, "linux/arm/v7"), testing::HasSubstr("arm/v7"));
  EXPECT_EQ(judged(text, "linux/arm64", node, ""), "") << "not known";
  EXPECT_THAT(judged(text, "linux/s390x", node, "linux/amd64"), testing::StartsWith("!"))
      << "nothing is built for it";
  EXPECT_THAT(judged(text, "linux/arm64", tools, "linux/amd64", "Tools"),
              testing::StartsWith("Dockerfile:2: "));
  // A stage with a platform of its own is not asked for that of the result.
  EXPECT_EQ(judged("FROM --platform=linux/amd64 node AS x\nFROM scratch\n", "linux/arm64", node,
                   "linux/amd64"),
            "");
  EXPECT_EQ(judged("COPY a b\n", "linux/amd64", node, "linux/arm64"), "");
  EXPECT_EQ(judged("FROM scratch\nCOPY --from=node / /\n", "linux/arm64", node, "linux/amd64"), "");
}

TEST(ForeignBase, VariablesAreReadAsTheFrontendReadsThem) {
  const std::string wrong = "Dockerfile:";
  const std::string node = "docker.io/library/node:22";
  for (const char* text :
       {"ARG V=22\nFROM node:$V\n", "ARG V=22\nARG I=node:${V}\nFROM \"$I\"\n",
        "FROM node:${V:-22}\n", "ARG V=\nFROM node:${V:-22}\n", "ARG GIVEN=x\nFROM $GIVEN\n",
        "FROM a AS base-amd64\nFROM node:22 AS base-arm64\nFROM base-${TARGETARCH} AS app\n"}) {
    EXPECT_THAT(judged(text, "linux/arm64", node, "linux/amd64"), testing::StartsWith(wrong))
        << text;
  }
  // What cannot be told ends no build.
  for (const char* text :
       {"ARG V\nFROM node:$V\n", "ARG V=22\nFROM node:${V%2}2\n", "ARG V=${W}\nFROM node:$V\n",
        "FROM node:22 AS base-amd64\nFROM b AS base-arm64\nFROM base-${TARGETARCH}\n"}) {
    EXPECT_THAT(judged(text, "linux/arm64", node, "linux/amd64"), testing::StartsWith("!")) << text;
  }
}

TEST(ForeignBase, AFlagMayNotChooseThePlatformOfAResult) {
  const auto line = [](std::string_view text, std::string_view engine = "linux/amd64") {
    return ForeignBases("Dockerfile", text, "", k_both, {}).foreign_flag(engine);
  };
  EXPECT_EQ(line("FROM --platform=linux/amd64 a\n"),
            "Dockerfile:1: --platform=linux/amd64 makes the image for linux/arm64 of a base for "
            "linux/amd64; remove the flag");
  EXPECT_EQ(line("ARG P=linux/arm64\nFROM --platform=$P a AS b\nFROM b\n"),
            "Dockerfile:2: --platform=$P makes the image for linux/amd64 of a base for "
            "linux/arm64; remove the flag");
  EXPECT_THAT(line("FROM --platform=$BUILDPLATFORM a\n"),
              testing::HasSubstr("--platform=$BUILDPLATFORM makes the image for linux/arm64"));
  EXPECT_THAT(line("FROM --platform=$BUILDPLATFORM a\n", "linux/arm64"),
              testing::HasSubstr("the image for linux/amd64"));
  for (const char* fine :
       {"FROM a\n", "FROM --platform=$TARGETPLATFORM a\n", "FROM --platform=${TARGETPLATFORM} a\n",
        "FROM --platform=linux/$TARGETARCH a\n", "FROM --platform=linux/amd64 scratch\n",
        "FROM --platform=linux/amd64 a AS x\nFROM b\nCOPY --from=x /a /a\n",
        "FROM --platform=$BUILDPLATFORM a AS x\nFROM scratch\n", "FROM --platform=$NOT_KNOWN a\n",
        "FROM --platform=$TARGETPLATFORMS a\n", ""}) {
    EXPECT_EQ(line(fine), "") << fine;
  }
}

TEST(ForeignBase, ARunForAnotherMachineThanTheEnginesIsNamed) {
  const auto line = [](std::string_view text, std::string_view step,
                       const std::vector<std::string>& platforms = k_both,
                       std::string_view machine = "linux/amd64") {
    return ForeignBases("Dockerfile", text, "", platforms, {}).foreign_run(step, machine);
  };
  const std::string two = "FROM a AS tools\nRUN make\nFROM b\nRUN make install\n";
  EXPECT_EQ(line(two, "[linux/arm64 stage-1 2/2] RUN make install"),
            "Dockerfile:4: RUN for linux/arm64 needs emulation, which is off here (the build "
            "machine is linux/amd64); use a stage FROM --platform=$BUILDPLATFORM");
  EXPECT_EQ(line(two, "[linux/amd64 stage-1 2/2] RUN make install"), "");
  EXPECT_EQ(line(two, "[linux/amd64->arm64 tools 2/2] RUN make"), "") << "it cross-compiles";
  EXPECT_THAT(line(two, "[linux/arm64->amd64 tools 2/2] RUN make"),
              testing::StartsWith("Dockerfile:2: RUN for linux/arm64 "));
  EXPECT_EQ(line(two, "[linux/386 tools 2/2] RUN make"), "");
  EXPECT_THAT(line(two, "[linux/arm/v7 tools 2/2] RUN make", k_both, "linux/arm64"),
              testing::StartsWith("Dockerfile:2: RUN for linux/arm/v7 "));
  // One platform stands in no name.
  const std::vector<std::string> arm{"linux/arm64"};
  const auto of_one = [&](std::string_view text, std::string_view step) {
    const std::string found = line(text, step, arm);
    return found.substr(0, found.find(" needs"));
  };
  const std::string cross =
      "FROM --platform=$BUILDPLATFORM a AS build\nRUN make\nFROM build AS more\nRUN test\n"
      "FROM --platform=linux/amd64 a AS fixed\nRUN tool\nFROM --platform=$P a AS open\nRUN some\n"
      "FROM b\nRUN install\n";
  EXPECT_EQ(of_one("FROM b\nRUN install\n", "[2/2] RUN install"),
            "Dockerfile:2: RUN for linux/arm64");
  EXPECT_EQ(of_one(cross, "[stage-4 2/2] RUN install"), "Dockerfile:10: RUN for linux/arm64");
  for (const char* step : {"[build 2/2] RUN make", "[more 1/1] RUN test", "[fixed 2/2] RUN tool",
                           "[open 2/2] RUN some", "[stage-4 1/2] FROM b", "[stage-4 2/2] COPY a b",
                           "[internal] load build context", "RUN install", "[", "[] ", ""}) {
    EXPECT_EQ(of_one(cross, step), "") << step;
  }
  // A trigger of a base image stands at its FROM; what is found nowhere is of the result, unless a
  // stage of another machine may have it.
  EXPECT_EQ(of_one("FROM b\n", "[2/2] ONBUILD RUN of-the-base"),
            "Dockerfile:1: RUN for linux/arm64");
  EXPECT_EQ(of_one("", "[2/2] RUN unknown"), "Dockerfile: RUN for linux/arm64");
  EXPECT_EQ(of_one("# syntax=other\nFROM --platform=$BUILDPLATFORM a\n", "[2/2] RUN unknown"), "");
  EXPECT_EQ(line(two, "[linux/arm64 2/2] RUN make", k_both, ""), "") << "the engine does not say";
}

}  // namespace
}  // namespace builder::adapters::buildkit
