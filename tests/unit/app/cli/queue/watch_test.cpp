#include "app/cli/queue/watch.hpp"

#include <gtest/gtest.h>

namespace builder::app::cli {
namespace {

TEST(Redrawing, WritesOverThePictureBefore) {
  Redrawing screen;
  EXPECT_EQ(screen.draw("a\nb\n", 80, 24), "a\x1b[K\nb\x1b[K\n\x1b[J");
  EXPECT_EQ(screen.draw("c\n", 80, 24), "\x1b[2Fc\x1b[K\n\x1b[J")
      << "what was longer is cut off at the end, not cleared at the beginning";
  EXPECT_EQ(screen.draw("d\n", 80, 24), "\x1b[1Fd\x1b[K\n\x1b[J");
}

TEST(Redrawing, LeavesOutWhatTheTerminalHasNoRoomFor) {
  Redrawing screen;
  EXPECT_EQ(screen.draw("1\n2\n3\n4\n5\n", 80, 4), "1\x1b[K\n2\x1b[K\n… 3 more rows\x1b[K\n\x1b[J");
  EXPECT_EQ(screen.draw("123456\n", 4, 4), "\x1b[H\x1b[2J123…\x1b[K\n\x1b[J")
      << "another width: what was drawn may stand elsewhere";
}

}  // namespace
}  // namespace builder::app::cli
