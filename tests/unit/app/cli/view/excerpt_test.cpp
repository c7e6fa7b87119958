#include "app/cli/view/excerpt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace builder::app::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view k_text = "FROM busybox\n\nRUN echo \\\n\tx\nCMD true\n";

TEST(SourceRange, IsThePlaceThatASentenceBeginsWith) {
  const SourceRange one = source_range_of("Dockerfile:5: \"RUN x:7: y\" ended with exit code 1");
  EXPECT_EQ(one.file, "Dockerfile");
  EXPECT_EQ(one.first, 5U);
  EXPECT_EQ(one.last, 5U);
  const SourceRange some = source_range_of("deploy/a:b/Dockerfile:5-8: text");
  EXPECT_EQ(some.file, "deploy/a:b/Dockerfile");
  EXPECT_EQ(some.first, 5U);
  EXPECT_EQ(some.last, 8U);
  for (const char* none : {"", ":5: x", "Dockerfile: 5: x", "Dockerfile:0: x", "Dockerfile:8-5: x",
                           "Dockerfile:5 x", "It says: localhost:5000: no", "no place"}) {
    EXPECT_EQ(source_range_of(none).first, 0U) << none;
  }
}

TEST(Excerpt, MarksTheLinesAsBuildKitDoes) {
  EXPECT_THAT(excerpt_of(k_text, {.file = "Dockerfile", .first = 3, .last = 4}),
              ElementsAre("Dockerfile:3", "--------------------",  //
                          "   1 |     FROM busybox", "   2 |", "   3 | >>> RUN echo \\",
                          "   4 | >>>  x", "   5 |     CMD true", "--------------------"));
  EXPECT_THAT(excerpt_of(k_text, {.file = "D", .first = 1, .last = 1}),
              ElementsAre("D:1", "--------------------", "   1 | >>> FROM busybox", "   2 |",
                          "   3 |     RUN echo \\", "--------------------"));
}

TEST(Excerpt, OfALineThatIsNotThereIsNothing) {
  EXPECT_THAT(excerpt_of(k_text, {.file = "D", .first = 6, .last = 6}), IsEmpty());
  EXPECT_THAT(excerpt_of(k_text, {}), IsEmpty());
  EXPECT_THAT(excerpt_of("", {.file = "D", .first = 1, .last = 1}), IsEmpty());
}

TEST(Excerpt, OfALongRangeIsItsBeginning) {
  std::string text;
  for (int i = 1; i <= 40; ++i) {
    text += "line " + std::to_string(i) + "\n";
  }
  const auto rows = excerpt_of(text, {.file = "D", .first = 5, .last = 30});
  ASSERT_EQ(rows.size(), 3U + 2U + 12U + 1U);
  EXPECT_EQ(rows[rows.size() - 3], "  16 | >>> line 16");
  EXPECT_EQ(rows[rows.size() - 2], "     |     …");
}

TEST(Excerpt, IsSafeToShow) {
  const auto rows = excerpt_of("RUN \x1b[2J\x1b]0;x\a" + std::string(1'000'000, 'a'),
                               {.file = "D", .first = 1, .last = 1});
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_FALSE(rows[2].contains('\x1b') || rows[2].contains('\a'));
  EXPECT_LT(rows[2].size(), 500U);
}

TEST(Excerpt, IsTakenOutOfTheRowsOfTheLog) {
  std::vector<std::string> rows{"Step 9 failed: RUN x",
                                "   9 | WORKDIR /app",
                                "  10 |",
                                "> 11 | RUN a | b \\",
                                "> 12 |     c",
                                "     | …",
                                "  another"};
  EXPECT_THAT(take_excerpt(rows, "web/Dockerfile"),
              ElementsAre("web/Dockerfile:11", "--------------------", "   9 |     WORKDIR /app",
                          "  10 |", "  11 | >>> RUN a | b \\", "  12 | >>>     c", "     |     …",
                          "--------------------"));
  EXPECT_THAT(rows, ElementsAre("Step 9 failed: RUN x", "  another"));
  EXPECT_THAT(take_excerpt(rows, "Dockerfile"), IsEmpty());
}

}  // namespace
}  // namespace builder::app::cli
