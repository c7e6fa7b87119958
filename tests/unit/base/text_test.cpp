#include "base/text.hpp"

#include "base/utf8.hpp"

#include <gtest/gtest.h>

namespace builder {
namespace {

TEST(Text, IsTruncatedAtCharactersNotBytes) {
  EXPECT_EQ(truncate_characters("äöü", 3), "äöü");
  EXPECT_EQ(truncate_characters("äöüß", 3), "äö…");
  EXPECT_EQ(truncate_characters(std::string(300, 'x'), 191).size(), 190 + 3u);
  EXPECT_EQ(truncate_bytes("aä", 2), "a");
  EXPECT_EQ(truncate_bytes("aä", 3), "aä");
  EXPECT_EQ(truncate_bytes("\xE2\x82\xAC", 2), "");
  EXPECT_EQ(truncate_bytes("\x80\x80\x80\x80\x80\x80\x80", 6).size(), 6u) << "no UTF-8";
}

TEST(Text, OfAStrangerIsOnePrintableLine) {
  EXPECT_EQ(printable_line("  a\n\tb \x01 c\r\n"), "a b c");
  EXPECT_EQ(printable_line("a\r\n\tb\x1b[0m c\n"), "a b c");
  EXPECT_EQ(printable_line("caf\xc3\xa9 \xff\xc3"), "café \uFFFD\uFFFD");
  EXPECT_EQ(printable_line("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD") << "a surrogate is not UTF-8";
  EXPECT_EQ(printable_line("a\u202Eb\u0085c\u200Bd"), "ab cd");
  EXPECT_EQ(printable_line("\x1b[31"), "");
  EXPECT_EQ(printable_line("abcd", 3), "ab…");
  EXPECT_EQ(printable_line("a b c", 5), "a b c");
  EXPECT_EQ(printable_line("a b cd", 5), "a b …");
  EXPECT_EQ(printable_line("abc   ", 3), "abc");
  EXPECT_EQ(printable_columns("  a\tb  c\x1b[1m \n"), "  a b  c");
}

TEST(Utf8, IsWhatTheRfcSays) {
  EXPECT_TRUE(is_utf8("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"));
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC3"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_EQ(first_character("\xF0\x9F\x98\x80x").code, U'\U0001F600');
  EXPECT_EQ(first_character("\xF0\x9F\x98").bytes.size(), 1u);
  EXPECT_EQ(leading_blank("\u2003x"), 3u);
  EXPECT_EQ(leading_blank("\xA0x"), 0u) << "no UTF-8";
}

TEST(Sha256, IsWrittenInHex) {
  EXPECT_EQ(sha256_hex("").substr(0, 16), "e3b0c44298fc1c14");
}

}  // namespace
}  // namespace builder
