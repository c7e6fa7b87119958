#include "adapters/buildkit/diagnosis/dockerfile.hpp"

#include "base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::buildkit {

namespace {

std::size_t line_of(const Dockerfile& file, std::string_view step) {
  const Instruction* found = file.find_step(step).instruction;
  return found == nullptr ? 0 : found->lines.first;
}

TEST(Dockerfile, JoinsContinuationsAcrossCommentsAndBlankLines) {
  const Dockerfile file("# c\n\nFROM a\nRUN x \\\n  # why\n\n  && y\\\n  z\nCMD q\n");
  ASSERT_EQ(file.instructions().size(), 3U);
  EXPECT_EQ(file.instructions()[1].lines.first, 4U);
  EXPECT_EQ(file.instructions()[1].lines.last, 8U);
  EXPECT_EQ(file.instructions()[2].lines.first, 9U);
}

TEST(Dockerfile, ReadsTheEscapeDirective) {
  const Dockerfile file("# escape=`\nFROM a\nRUN x `\n  y\nRUN c:\\\nRUN z\n");
  ASSERT_EQ(file.instructions().size(), 4U);
  EXPECT_EQ(file.instructions()[1].lines.last, 4U);
}

TEST(Dockerfile, SkipsHeredocBodies) {
  const Dockerfile file(
      "FROM a\nRUN <<EOF\nRUN fake\nEOF\nCOPY <<-\"X\" /f\n FROM b\n\tX\nRUN last\n");
  ASSERT_EQ(file.instructions().size(), 4U);
  EXPECT_EQ(file.instructions()[1].lines.last, 4U);
  EXPECT_EQ(file.instructions()[3].lines.first, 8U);
  EXPECT_EQ(line_of(file, "[2/4] RUN <<EOF (RUN fake)"), 2U);
}

TEST(Dockerfile, FindsAStepByItsText) {
  const Dockerfile file(
      "FROM busybox\r\nCOPY a.txt /\r\nRUN echo \"a b\"  \\\r\n  \\$HOME $X && exit 3\r\n");
  EXPECT_EQ(line_of(file, "[3/3] RUN echo \"a b\"    $HOME $X && exit 3"), 3U);
  EXPECT_EQ(line_of(file, "[2/3] COPY a.txt /"), 2U);
  EXPECT_EQ(line_of(file, "[2/3] VOLUME x"), 0U);
}

TEST(Dockerfile, FindsAStepByWhatIsShownOfItsText) {
  const Dockerfile file(
      "FROM busybox\nRUN echo \xF0\x9F\x91\xA9\u200D\xF0\x9F\x92\xBB && exit 1\nRUN echo a\u00A0b "
      "\x1b[1mc\n");
  const auto trigger_of = [&](std::string_view step) {
    return file.find_step(printable_columns(step)).trigger;
  };
  const std::string_view joined = "[2/3] RUN echo \xF0\x9F\x91\xA9\u200D\xF0\x9F\x92\xBB && exit 1";
  const std::string_view blank = "[3/3] RUN echo a\u00A0b \x1b[1mc";
  EXPECT_EQ(line_of(file, printable_columns(joined)), 2U);
  EXPECT_EQ(line_of(file, printable_columns(blank)), 3U);
  EXPECT_EQ(trigger_of(joined), "");
  EXPECT_EQ(trigger_of(blank), "");
}

TEST(Dockerfile, FindsAStepWhoseVariablesWereReplaced) {
  const Dockerfile file("FROM b\nENV A=b\nRUN echo $A ${C:-d} \"$A\" && false\nrun other\n");
  EXPECT_EQ(line_of(file, "[2/3] RUN echo b d \"b\" && false"), 3U);
  EXPECT_EQ(line_of(file, "[3/3] RUN other"), 4U);
}

TEST(Dockerfile, TellsEqualStepsApartByStageAndPlace) {
  const Dockerfile file(
      "FROM a AS Build\nRUN make\nRUN x\nRUN make\nFROM b\nRUN make\nWORKDIR /w\nRUN make\n");
  EXPECT_EQ(line_of(file, "[build 2/4] RUN make"), 2U);
  EXPECT_EQ(line_of(file, "[build 4/4] RUN make"), 4U);
  EXPECT_EQ(line_of(file, "[stage-1 2/4] RUN make"), 6U);
  EXPECT_EQ(line_of(file, "[linux/amd64 stage-1 4/4] RUN make"), 8U);
}

TEST(Dockerfile, AStepThatStandsNowhereInTheFileIsATriggerOfTheBaseImage) {
  const Dockerfile file("FROM a AS one\nRUN x\nFROM b AS two\nRUN child\nRUN make $Y\n");
  const auto place = [&](std::string_view step) {
    const StepPlace found = file.find_step(step);
    return std::pair(found.instruction == nullptr ? 0 : found.instruction->lines.first,
                     found.trigger);
  };
  EXPECT_EQ(place("[two 2/3] RUN echo trigger && exit 4"),
            std::pair(std::size_t{3}, std::string("RUN echo trigger && exit 4")));
  EXPECT_EQ(place("[one 2/3] ONBUILD COPY package.json /app/"),
            std::pair(std::size_t{1}, std::string("COPY package.json /app/")));
  EXPECT_EQ(place("[two 3/3] RUN make y").first, 5U) << "a variable was replaced";
  EXPECT_EQ(place("[two 2/3] RUN child"), std::pair(std::size_t{4}, std::string()));
}

TEST(Dockerfile, TakesAnInstructionApart) {
  EXPECT_THAT(context_sources("COPY --chown=a a.txt 'b c' /x/"),
              testing::ElementsAre("a.txt", "'b", "c'"));
  EXPECT_THAT(context_sources("copy [\"app/[id]/page.tsx\", \"/x/\"]"),
              testing::ElementsAre("app/[id]/page.tsx"));
  EXPECT_THAT(context_sources("ADD https://h/x a.tar /x/"), testing::ElementsAre("a.tar"));
  EXPECT_THAT(context_sources("COPY --from=x a /x"), testing::IsEmpty());
  EXPECT_THAT(context_sources("COPY <<EOF /x"), testing::IsEmpty());
  EXPECT_THAT(context_sources("RUN --mount=type=bind,source=a,target=/m --mount=from=b,source=c,"
                              "target=/n --mount=type=cache,source=d ls"),
              testing::ElementsAre("a"));
}

TEST(Dockerfile, FollowsTheLastStageToItsBase) {
  const Dockerfile file(
      "ARG P=linux/arm64\nFROM --platform=$BUILDPLATFORM a AS tools\nFROM --platform=${P} b AS "
      "Base\nFROM c\nFROM base AS last\nFROM last\n");
  ASSERT_NE(file.final_base(), nullptr);
  EXPECT_EQ(file.final_base()->lines.first, 3U);
  EXPECT_EQ(file.platform_of(*file.final_base()), "linux/arm64");
  EXPECT_EQ(file.platform_of(file.instructions()[1]), "linux/amd64");
  EXPECT_EQ(Dockerfile("").final_base(), nullptr);
}

TEST(Dockerfile, KnowsItsFrontendAndDirectives) {
  const Dockerfile file(
      "# escape=`\n#  Syntax = docker/dockerfile:1\n# check=error=true\nFROM x\n");
  ASSERT_TRUE(file.frontend());
  EXPECT_EQ(file.frontend()->line, 2U);
  EXPECT_EQ(file.frontend()->reference, "docker/dockerfile:1");
  EXPECT_EQ(file.directive_line("check"), 3U);
  EXPECT_FALSE(Dockerfile("FROM x\n# syntax=y\n").frontend());
}

TEST(Dockerfile, FindsBaseImages) {
  const Dockerfile file("ARG V=20\nFROM node:$V AS x\nFROM --platform=linux/amd64 r.example/a:1\n");
  EXPECT_EQ(line_of(file, "[internal] load metadata for docker.io/library/node:20"), 2U);
  EXPECT_EQ(line_of(file, "[internal] load metadata for r.example/a:1"), 3U);
  EXPECT_EQ(line_of(Dockerfile("FROM alpine\n"),
                    "[internal] load metadata for docker.io/library/alpine:latest"),
            1U);
}

TEST(Dockerfile, ShowsTheLinesAround) {
  const Dockerfile file("a\nb\nc\nd\ne\tf\ng\n");
  EXPECT_THAT(file.excerpt({.first = 4, .last = 4}),
              testing::ElementsAre("  2 | b", "  3 | c", "> 4 | d", "  5 | e f", "  6 | g"));
  EXPECT_THAT(file.excerpt({.first = 1, .last = 1}),
              testing::ElementsAre("> 1 | a", "  2 | b", "  3 | c"));
  EXPECT_TRUE(file.excerpt({}).empty());
  EXPECT_TRUE(file.excerpt({.first = 9, .last = 9}).empty());
}

TEST(Dockerfile, CutsLongExcerpts) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += "x\n";
  }
  EXPECT_EQ(Dockerfile(text).excerpt({.first = 5, .last = 30}).size(), 2U + 8U + 1U);
}

TEST(Dockerfile, TakesAnything) {
  EXPECT_TRUE(Dockerfile("").instructions().empty());
  EXPECT_TRUE(Dockerfile("\n#\n \\\n").instructions().size() <= 1);
  const Dockerfile file(std::string("\xEF\xBB\xBF") + "FROM a\nRUN \\");
  EXPECT_EQ(file.instructions().front().keyword, "FROM");
  EXPECT_EQ(line_of(file, "["), 0U);
  EXPECT_EQ(line_of(file, ""), 0U);
  EXPECT_EQ(line_of(file, "[1/1] "), 0U);
}

TEST(CacheMounts, AreNamedUnlessTheirTargetIsAllThereIs) {
  for (const char* plain :
       {"", "FROM x\nRUN true\n", "RUN --mount=type=cache,target=/root/.npm npm ci\n",
        "RUN --mount=type=cache,dst=/c --mount=type=secret,id=x y\n",
        "RUN --mount=target=/c,type=cache,uid=5 x\n"}) {
    EXPECT_FALSE(names_cache_mounts(plain)) << plain;
  }
  for (const char* named :
       {"RUN --mount=type=cache,id=a,target=/c x", "RUN --mount=id=a,type=cache,target=/c x",
        "RUN --mount=type=cache,target=/c,sharing=locked x", "RUN --mount=type=cache,target=c x",
        "RUN --mount=type=cache,target=/c/ x", "RUN --mount=type=cache,target=$HOME/c x",
        "RUN --mount=type=cache,target=/a/../c x",
        "RUN --mount=type=cache,target=/a \\\n --mount=type=cache,target=/b,id=/c x",
        "RUN --mount=TYPE=cache,ID=a,target=/c x"}) {
    EXPECT_TRUE(names_cache_mounts(named)) << named;
  }
}

}  // namespace

}  // namespace builder::adapters::buildkit
