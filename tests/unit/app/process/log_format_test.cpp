#include "app/process/log_format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>

namespace builder::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// 2026-11-24T10:11:12.123Z
const auto k_time =
    std::chrono::system_clock::time_point(std::chrono::milliseconds(1'795'515'072'123));

LogEvent event(std::string message, LogFields fields = {{"deployment", "d1"}, {"attempt", "2"}}) {
  return {.time = k_time,
          .level = LogLevel::warning,
          .fields = std::move(fields),
          .message = std::move(message)};
}

/// What a stranger may bring along: ends of lines in every spelling, sequences for terminals, bytes
/// that are no text, and what looks like a field or a line of ours.
const std::string k_hostile =
    "\nlevel=error\r\x1b[2Jdeployment=other\xc2\x85\xe2\x80\xa8MESSAGE=forged\x00\xff\"}\n{\"a\":"
    "1}";

TEST(LogFormat, TextHasTimeLevelFieldsAndMessage) {
  EXPECT_EQ(text_line(event("slow")),
            "2026-11-24T10:11:12.123Z warning deployment=d1 attempt=2 slow\n");
  EXPECT_EQ(text_line(event("slow", {})), "2026-11-24T10:11:12.123Z warning slow\n");
}

TEST(LogFormat, ATerminalShowsFieldsBehindTheMessage) {
  EXPECT_THAT(terminal_line(event("slow")),
              HasSubstr(" \x1b[33mwarning\x1b[0m slow  \x1b[2mdeployment=d1 attempt=2\x1b[0m\n"));
}

TEST(LogFormat, JsonHasAKeyForEachField) {
  EXPECT_EQ(json_line(event("slow")),
            R"({"time":"2026-11-24T10:11:12.123Z","level":"warning","message":"slow",)"
            R"("deployment":"d1","attempt":"2"})"
            "\n");
}

TEST(LogFormat, PrioritiesAreSyslogs) {
  EXPECT_EQ(priority_line(event("slow")), "<4>deployment=d1 attempt=2 slow\n");
}

TEST(LogFormat, TheJournalGetsALineForEachField) {
  EXPECT_EQ(journal_entry(event("slow")),
            "PRIORITY=4\nSYSLOG_IDENTIFIER=deployra-builder\nMESSAGE=slow\nDEPLOYMENT=d1\n"
            "ATTEMPT=2\n");
}

TEST(LogFormat, OneEventIsOneLineWhateverIsInIt) {
  const LogEvent hostile = event(k_hostile, {{"service", k_hostile}});
  for (const auto& line :
       {text_line(hostile), terminal_line(hostile), json_line(hostile), priority_line(hostile)}) {
    EXPECT_EQ(std::ranges::count(line, '\n'), 1) << line;
    EXPECT_TRUE(line.ends_with('\n'));
    EXPECT_THAT(line, Not(HasSubstr("\r")));
    EXPECT_THAT(line, Not(HasSubstr("\xc2\x85"))) << "a line end to some readers";
    EXPECT_THAT(line, Not(HasSubstr("\xe2\x80\xa8"))) << "a line end to some readers";
    EXPECT_THAT(line, Not(HasSubstr("\x1b[2J")));
  }
  EXPECT_EQ(std::ranges::count(journal_entry(hostile), '\n'), 4);
}

TEST(LogFormat, TextThatLooksLikeAFieldIsNone) {
  EXPECT_THAT(text_line(event("deployment=other is mine")),
              HasSubstr(" attempt=2 | deployment=other is mine\n"));
  EXPECT_THAT(text_line(event("x", {{"service", "a deployment=other"}, {"attempt", "\"1"}})),
              HasSubstr(R"( service="a deployment=other" attempt="\"1" x)"));
  const auto read = nlohmann::json::parse(json_line(event(k_hostile, {{"service", k_hostile}})));
  EXPECT_EQ(read.size(), 4U);
  EXPECT_EQ(read["level"], "warning");
}

TEST(LogFormat, NoFieldReplacesWhatEveryEventHas) {
  const auto read = nlohmann::json::parse(json_line(event("true", {{"message", "false"}})));
  EXPECT_EQ(read["message"], "true");
}

TEST(LogFormat, AnEntryFitsIntoADatagram) {
  EXPECT_LT(journal_entry(event(std::string(1U << 20U, 'x'))).size(), 50'000U);
}

TEST(Log, BindsAFieldOnce) {
  class Fields final : public LogSink {
   public:
    void write(LogLevel /*level*/, std::string_view line) override { text += line; }

    [[nodiscard]] bool enabled(LogLevel /*level*/) const override { return true; }

    std::string text;
  };

  const auto lines = std::make_shared<Fields>();
  Log(lines).with("phase", "fetch").with("deployment", "d1").with("phase", "push").info("x");
  EXPECT_EQ(lines->text, "phase=push deployment=d1 x");
  Log().info("nobody hears it");
}

}  // namespace
}  // namespace builder::app
