#include "app/cli/view/output_rows.hpp"

#include "base/utf8.hpp"
#include "fakes/random_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace builder::app::cli {
namespace {

using testing::ElementsAre;

std::vector<std::string> rows_of(const std::vector<std::string>& chunks) {
  OutputRows rows;
  for (const std::string& chunk : chunks) {
    rows.feed(chunk, false);
  }
  return rows.all();
}

TEST(OutputRows, AreTheLinesHoweverTheyAreCut) {
  EXPECT_THAT(rows_of({"on", "e\ntw", "o\r", "\nthree"}), ElementsAre("one", "two", "three"));
  EXPECT_THAT(rows_of({"日", "本\n"}), ElementsAre("日本"));
  EXPECT_THAT(rows_of({"\xE6\x97", "\xA5\n"}), ElementsAre("日")) << "cut inside a character";
}

TEST(OutputRows, ShowAProgressBarAsItIsNow) {
  OutputRows rows;
  rows.feed("10 %\r20 %", false);
  EXPECT_THAT(rows.last(3), ElementsAre("20 %"));
  rows.feed("\r", false);
  EXPECT_THAT(rows.last(3), ElementsAre("20 %")) << "nothing has come over it yet";
  rows.feed("\x1b[K30 %", false);
  EXPECT_THAT(rows.last(3), ElementsAre("30 %"));
  rows.feed("\r\r\ndone\r\n", false);
  EXPECT_THAT(rows.all(), ElementsAre("30 %", "done"));
}

TEST(OutputRows, KeepTheTwoStreamsApart) {
  OutputRows rows;
  rows.feed("out ", false);
  rows.feed("err ", true);
  rows.feed("goes on\n", false);
  rows.feed("as well\n", true);
  EXPECT_THAT(rows.all(), ElementsAre("out goes on", "err as well"));
}

TEST(OutputRows, LastAreThoseThatSaySomething) {
  OutputRows rows;
  rows.feed("a\nb\n\n \n\x1b[31m\x1b[0m\nc\n\n", false);
  EXPECT_THAT(rows.last(2), ElementsAre("b", "c"));
  EXPECT_THAT(rows.last(9), ElementsAre("a", "b", "c"));
  EXPECT_TRUE(rows.last(0).empty());
  EXPECT_EQ(rows.all().size(), 7U) << "but nothing is left out of the whole";
}

TEST(OutputRows, HaveNoControlSequences) {
  EXPECT_THAT(rows_of({"\x1b[2J\x1b[1;1Ha\x1b]0;title\a\x1b[31mb\x1bPq#0\x1b\\c\x07\x08\x9b"
                       "31md\n"}),
              ElementsAre("abc\uFFFD31md"));
  EXPECT_THAT(rows_of({"\xff\xfe a \u202Eb\u2066\u200B\n"}), ElementsAre("\uFFFD\uFFFD a b"));
}

TEST(OutputRows, TurnTabsIntoBlanks) {
  EXPECT_THAT(rows_of({"a\tb\n日本\tc\n\td\n"}),
              ElementsAre("a       b", "日本    c", "        d"));
}

TEST(OutputRows, KeepTheEndOfMuchOutputAndSayWhatIsGone) {
  OutputRows rows;
  const std::string line(99, 'x');
  for (int i = 0; i < 50'000; ++i) {
    rows.feed(line + "\n", false);
  }
  rows.feed("end\n", false);
  const auto all = rows.all();
  EXPECT_EQ(all.back(), "end");
  EXPECT_EQ(all.front(), line) << "whole rows";
  std::size_t kept = 0;
  for (const std::string& row : all) {
    kept += row.size() + 1;
  }
  EXPECT_LE(kept, OutputRows::k_kept);
  EXPECT_GT(kept, OutputRows::k_kept - 200);
  EXPECT_EQ(rows.left_out(), 5'000'004U - kept);
}

TEST(OutputRows, BreakALineWithoutEnd) {
  OutputRows rows;
  for (int i = 0; i < 1'100; ++i) {
    rows.feed(std::string(1'001, 'y'), false);
    ASSERT_LE(rows.last(1).front().size(), OutputRows::k_longest_row);
  }
  std::size_t sum = 0;
  for (const std::string& row : rows.all()) {
    sum += row.size();
  }
  EXPECT_GT(rows.left_out(), 0U);
  EXPECT_EQ(sum + rows.left_out(),
            1'100U * 1'001U + rows.left_out() / (OutputRows::k_longest_row + 1));
}

TEST(OutputRows, AreSafeWhateverComes) {
  fakes::RandomText text(
      7, {"a", "\n",   "\r",   "\t",       "\x1b", "[",       "31m",    "2J",   "]0;", "\a", "\\",
          "P", "\x9b", "\xC2", "\xC2\x9b", "日",   "e\u0301", "\u202E", "\xff", "\0",  "|"});
  for (int round = 0; round < 300; ++round) {
    const std::string whole = text.damage(text.make(60));
    OutputRows rows;
    for (const std::string& chunk : text.cut(whole, 7)) {
      rows.feed(chunk, text.below(4) == 0);
      static_cast<void>(rows.last(3));
    }
    for (const std::string& row : rows.all()) {
      ASSERT_TRUE(is_utf8(row)) << whole;
      ASSERT_TRUE(std::ranges::none_of(row, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
          << whole;
      ASSERT_FALSE(row.contains("\u202E") || row.contains("\xC2\x9b")) << whole;
    }
  }
}

}  // namespace
}  // namespace builder::app::cli
