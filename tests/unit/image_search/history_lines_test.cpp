#include "adapters/image_search/history_lines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::image_search {
namespace {

using testing::ElementsAre;

TEST(HistoryLines, AreThoseOfTheLastStage) {
  EXPECT_THAT(lines_of_history("FROM node AS build\nRUN npm ci\nFROM nginx\nENV A=1\nCOPY "
                               "--from=build \\\n  /x /y\nRUN ls\n",
                               {"ADD rootfs.tar / # buildkit", "CMD [\"nginx\"]", "ENV A=1",
                                "COPY /x /y # buildkit", "RUN /bin/sh -c ls # buildkit"}),
              ElementsAre(0, 0, 4, 5, 7));
}

TEST(HistoryLines, GoThroughTheStagesItIsMadeOf) {
  EXPECT_THAT(
      lines_of_history("FROM alpine AS base\nRUN one\nONBUILD RUN no\nFROM base AS test\nRUN "
                       "two\nFROM Base\nCOPY . /\n",
                       {"RUN zero", "RUN /bin/sh -c one # buildkit", "COPY . / # buildkit"}),
      ElementsAre(0, 2, 7));
}

TEST(HistoryLines, EndWhereTheyDisagree) {
  EXPECT_THAT(lines_of_history("FROM a\nRUN one\nCOPY . /\nCMD x\n",
                               {"RUN one", "Application Layer", "COPY . /", "CMD [\"x\"]"}),
              ElementsAre(0, 0, 3, 4));
  EXPECT_THAT(lines_of_history("", {"RUN one"}), ElementsAre(0));
  EXPECT_THAT(lines_of_history("FROM a\nFROM a\nFROM a AS a\n", {"RUN one"}), ElementsAre(0));
  EXPECT_THAT(lines_of_history("RUN one\n", {}), ElementsAre());
}

}  // namespace
}  // namespace builder::adapters::image_search
