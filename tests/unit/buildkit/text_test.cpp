#include "adapters/buildkit/text.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::buildkit {

TEST(Text, BecomesOnePrintableLine) {
  EXPECT_EQ(one_line("a\r\n\tb\x1b[0m c\n"), "a b [0m c");
  EXPECT_EQ(one_line("caf\xc3\xa9 \xff\xc3"), "caf\xc3\xa9 ??");
  EXPECT_EQ(one_line("\xed\xa0\x80"), "???");  // A surrogate is not UTF-8.
}

TEST(Text, IsCutBetweenCharacters) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcdef", 5), "ab…");
  EXPECT_EQ(shortened("\xc3\xa9\xc3\xa9\xc3\xa9", 5), "\xc3\xa9…");
}

}  // namespace builder::adapters::buildkit
