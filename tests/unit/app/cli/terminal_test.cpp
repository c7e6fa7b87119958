#include "app/cli/terminal.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace builder::app::cli {
namespace {

const TableRows k_rows{
    {"NAME", "STATE", "WHY"}, {"redis", "ok", "7.0, persistent"}, {"api", "failed", ""}};

TEST(Width, CountsColumnsAndNotBytes) {
  EXPECT_EQ(width_of("abc"), 3U);
  EXPECT_EQ(width_of("日本"), 4U);
  EXPECT_EQ(width_of("e\u0301"), 1U) << "a combining accent has no column of its own";
  EXPECT_EQ(width_of("\x1b[31mred\x1b[0m"), 3U);
}

TEST(Fitted, CutsBetweenCharactersAndSaysSo) {
  EXPECT_EQ(fitted("short", 5), "short");
  EXPECT_EQ(fitted("longer", 5), "long…");
  EXPECT_EQ(fitted("日本語", 4), "日…") << "half of a wide character is nothing";
  EXPECT_EQ(fitted("any", Terminal::k_no_limit), "any");
  EXPECT_EQ(fitted("\x1b[31mlonger\x1b[0m", 5), "\x1b[31mlong…\x1b[0m") << "the style ends";
}

TEST(Table, AlignsItsColumns) {
  EXPECT_EQ(table({.columns = Terminal::k_no_limit}, k_rows),
            "NAME   STATE   WHY\n"
            "redis  ok      7.0, persistent\n"
            "api    failed\n");
}

TEST(Table, CutsTheLastColumnOfANarrowTerminal) {
  EXPECT_EQ(table({.columns = 28}, k_rows),
            "NAME   STATE   WHY\n"
            "redis  ok      7.0, persist…\n"
            "api    failed\n");
}

TEST(Table, OfATerminalThatIsTooNarrowIsAList) {
  EXPECT_EQ(table({.columns = 20}, k_rows),
            "NAME: redis\n  STATE: ok\n  WHY: 7.0, persist…\n"
            "NAME: api\n  STATE: failed\n");
}

TEST(Table, HasColoursOnlyWhereTheyAreWanted) {
  EXPECT_EQ(styled({.colour = true}, Style::bad, "no"), "\x1b[31mno\x1b[0m");
  EXPECT_EQ(styled({}, Style::bad, "no"), "no");
  EXPECT_EQ(table({.colour = true, .columns = Terminal::k_no_limit}, {{"A"}, {"b"}}),
            "\x1b[1mA\x1b[0m\nb\n");
}

}  // namespace
}  // namespace builder::app::cli
