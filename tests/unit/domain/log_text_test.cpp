#include "domain/log_text.hpp"

#include "base/text.hpp"
#include "base/utf8.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace builder::domain {
namespace {

using namespace std::chrono_literals;

class LineAssemblerTest : public testing::Test {
 protected:
  std::vector<std::string> rows(const std::vector<std::string>& chunks) {
    std::vector<std::string> rows;
    LineAssembler assembler(redactor_, [&](const std::string& row) { rows.push_back(row); });
    for (const std::string& chunk : chunks) {
      assembler.feed(chunk, now_);
      now_ += 1ms;
    }
    assembler.finish();
    return rows;
  }

  std::shared_ptr<const Redactor> redactor_ =
      std::make_shared<Redactor>(std::vector<NamedSecret>{{"s", Secret("the-secret-value")}});
  SteadyTime now_ = std::chrono::steady_clock::now();
};

using Rows = std::vector<std::string>;

TEST_F(LineAssemblerTest, EveryKindOfLineEndEndsALine) {
  EXPECT_EQ(rows({"a\nb\r\nc\rd\n\ne"}), (Rows{"a", "b", "c", "d", "", "e"}));
}

TEST_F(LineAssemblerTest, AProgressBarShowsItsLastState) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) {
    text += std::to_string(i) + " %\r";
  }
  EXPECT_EQ(rows({text}), (Rows{"0 %", "999 %"}));
  EXPECT_EQ(rows({text + "done\n"}), (Rows{"0 %", "done"}));
}

TEST_F(LineAssemblerTest, SeveralReturnsBeforeALineEndLoseNoLine) {
  // As tools write that put "\r\n" on a terminal which adds one more.
  EXPECT_EQ(rows({"a\r\r\nb\r\r\r\nc\r\r\n"}), (Rows{"a", "b", "c"}));
}

TEST_F(LineAssemblerTest, OnlyColoursAreKeptOfEscapeSequences) {
  EXPECT_EQ(rows({"a\x1B[31mred\x1B[0m\x1B[2J\x1B[10;5H\x1B]0;title\x07z\x1B]8;;x\x1B\\y\x1B(B\x1B"
                  "c!\n"}),
            (Rows{"a\x1B[31mred\x1B[0mzy!"}));
}

TEST_F(LineAssemblerTest, WhatCannotBeShownIsDroppedOrReplaced) {
  EXPECT_EQ(rows({std::string("a\0b\x01\x7F"
                              "c\t\n",
                              8)}),
            (Rows{"abc\t"}));
  EXPECT_EQ(rows({"\xFF\xFE x \xC3\n"}), (Rows{"\uFFFD\uFFFD x \uFFFD"}));
  EXPECT_EQ(rows({"a\xE2\x80\xAE"
                  "b\xC2\x9B"
                  "c\n"}),
            (Rows{"abc"}));
  EXPECT_EQ(rows({"euro \xE2\x82"}), (Rows{"euro \uFFFD\uFFFD"}));
}

TEST_F(LineAssemblerTest, CharactersWithoutWidthAndDirectionMarksAreDropped) {
  EXPECT_EQ(rows({"a\u200Bb\u200Fc\u202Ed\u2066e\u2028f\u2060g\uFEFFh\u061Ci\U000E0041j\n"}),
            (Rows{"abcdefghij"}));
  EXPECT_EQ(rows({"\u00E9 \u20AC \U0001F600\uFE0F\n"}), (Rows{"\u00E9 \u20AC \U0001F600\uFE0F"}));
}

TEST_F(LineAssemblerTest, AnyTextBecomesOneLine) {
  EXPECT_EQ(shown_line(redactor_, "a\nthe-\u200Bsecret\x1B[1m-value\x1B[0m \u202Eb\x07"),
            "a [REDACTED] b");
}

TEST_F(LineAssemblerTest, SecretsAreTakenOutAcrossChunks) {
  EXPECT_EQ(rows({"x the-sec", "ret-value y\n"}), (Rows{"x [REDACTED] y"}));
  EXPECT_EQ(rows({"the-\x1B[2Ksecret\x01-value\n"}), (Rows{"[REDACTED]"}));
}

TEST_F(LineAssemblerTest, APrivateKeyIsTakenOutLineByLine) {
  EXPECT_EQ(rows({"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter\n"}),
            (Rows{"[REDACTED]", "[REDACTED]", "[REDACTED]", "after"}));
}

TEST_F(LineAssemblerTest, AKeyThatNeverEndsHidesNoMoreThanItself) {
  const std::string body(64, 'M');
  EXPECT_EQ(rows({"grep: x: -----BEGIN PRIVATE KEY-----\n", body + "\n", "  2 " + body + "\n",
                  "Ab3=\n", "next step of the build\nlast\n"}),
            (Rows{"[REDACTED]", "[REDACTED]", "[REDACTED]", "[REDACTED]", "next step of the build",
                  "last"}));
}

TEST_F(LineAssemblerTest, ALongLineComesInRowsAndLosesNothing) {
  for (const std::string unit : {"x", "\xE2\x82\xAC", "word "}) {
    std::string line;
    while (line.size() < 200'000) {
      line += unit;
    }
    std::string joined;
    for (const std::string& row : rows({line + "\n"})) {
      EXPECT_LE(row.size(), 60'000u);
      joined += row;
    }
    EXPECT_EQ(joined, line);
  }
}

TEST_F(LineAssemblerTest, ASecretInALongLineIsFoundWhereverItStands) {
  for (const std::size_t before : {49'130u, 49'140u, 49'152u, 49'160u}) {
    std::string joined;
    for (const std::string& row :
         rows({std::string(before, ' ') + "the-secret-value" + std::string(60'000, ' ')})) {
      joined += row;
    }
    EXPECT_FALSE(joined.contains("secret")) << before;
    EXPECT_TRUE(joined.contains("[REDACTED]")) << before;
  }
}

TEST_F(LineAssemblerTest, AnUnfinishedSequenceIsNotCollected) {
  EXPECT_EQ(rows({"a\x1B]" + std::string(1'000'000, 'x'), "\nb\n"}), (Rows{"a", "b"}));
  EXPECT_EQ(rows({"a\x1B[" + std::string(1'000, '1') + "m\nb\n"}).back(), "b");
}

TEST_F(LineAssemblerTest, GivesTheSameForEveryWayToCutTheText) {
  const std::string text =
      "plain\r\nthe-secret-value "
      "\xE2\x82\xAC\x1B[1mbold\x1B[0m\x1B]0;t\x07\xF0\x9F\x98\x80\xFF\rnext\nend";
  const Rows whole = rows({text});
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    ASSERT_EQ(rows({text.substr(0, cut), text.substr(cut)}), whole) << "cut at " << cut;
  }
}

TEST_F(LineAssemblerTest, WhateverComesTheRowsAreCleanAndCutsChangeNothing) {
  const std::vector<std::string> pieces{"a",
                                        "word ",
                                        "the-secret-value",
                                        "\n",
                                        "\r",
                                        "\r\n",
                                        "\x1B",
                                        "\x1B[31m",
                                        "\x1B[2J",
                                        "\x1B]0;t\x07",
                                        "\x1B[",
                                        "\x1BP",
                                        "\xE2\x82",
                                        "\xE2\x82\xAC",
                                        "\xFF",
                                        "\xC2\x9B",
                                        "\xE2\x80\xAE",
                                        "\xF0\x9F",
                                        "\t",
                                        "\x07",
                                        ";1m",
                                        "\x08",
                                        "m",
                                        std::string(1, '\0'),
                                        "\x1B\\",
                                        "\xC0\x80",
                                        "\xED\xA0\x80"};
  std::mt19937_64 random(3);
  for (int round = 0; round < 3'000; ++round) {
    std::string text;
    for (std::size_t i = random() % 24; i > 0; --i) {
      text += pieces[random() % pieces.size()];
    }
    std::vector<std::string> chunks;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + random() % 5;
      chunks.push_back(text.substr(at, size));
      at += size;
    }
    const Rows whole = rows({text});
    now_ += 1h;  // Each run begins with no progress shown lately.
    ASSERT_EQ(rows(chunks), whole) << testing::PrintToString(text);
    now_ += 1h;
    for (std::string row : whole) {
      EXPECT_TRUE(is_utf8(row)) << testing::PrintToString(text);
      EXPECT_FALSE(row.contains("the-secret-value"));
      for (std::size_t at = row.find("\x1B["); at != std::string::npos; at = row.find("\x1B[")) {
        const std::size_t end = row.find_first_not_of("0123456789;:", at + 2);
        ASSERT_TRUE(end != std::string::npos && row[end] == 'm') << testing::PrintToString(text);
        row.erase(at, end + 1 - at);
      }
      EXPECT_TRUE(std::ranges::all_of(row, [](unsigned char c) {
        return (c >= 0x20 && c != 0x7F) || c == '\t';
      })) << testing::PrintToString(text);
    }
  }
}

}  // namespace
}  // namespace builder::domain
