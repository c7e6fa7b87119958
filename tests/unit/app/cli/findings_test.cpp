#include "app/cli/findings.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace builder::app::cli {
namespace {

const Findings k_findings{
    .all = {{.group = "Redis", .what = "server", .state = State::ok, .text = "Redis 7.0.15"},
            {.group = "Redis",
             .what = "rights",
             .state = State::failure,
             .text = "redis refuses EVALSHA: NOPERM this user may not run LTRIM, ZADD",
             .setting = "REDIS_USERNAME",
             .cure = "give the user the rights of docs/protocol.md"},
            {.group = "AWS",
             .what = "ecr:GetAuthorizationToken",
             .state = State::warning,
             .text = "slow",
             .setting = "AWS_REGION"},
            {.group = "AWS", .what = "push", .state = State::not_tried, .text = "--push-test"}},
    .took = std::chrono::milliseconds(1'234)};

TEST(Findings, OfATerminalHangBehindTheirNames) {
  EXPECT_EQ(as_text(k_findings, {.interactive = true, .columns = 80}),
            "Redis\n"
            "  ok         server  Redis 7.0.15\n"
            "  failure    rights  redis refuses EVALSHA: NOPERM this user may not run LTRIM,\n"
            "                     ZADD\n"
            "                     -> give the user the rights of docs/protocol.md\n"
            "                        (REDIS_USERNAME)\n"
            "AWS\n"
            "  warning    ecr:GetAuthorizationToken\n"
            "                     slow\n"
            "                     -> look at AWS_REGION\n"
            "  not tried  push    --push-test\n"
            "\n"
            "1 failure, 1 warning, 1 ok, 1 not tried, in 1.2 s: Redis rights\n");
}

TEST(Findings, OfANarrowTerminalStandBelowTheirNames) {
  EXPECT_EQ(as_text(k_findings, {.interactive = true, .columns = 40}),
            "Redis\n"
            "  ok         server\n"
            "    Redis 7.0.15\n"
            "  failure    rights\n"
            "    redis refuses EVALSHA: NOPERM this\n"
            "    user may not run LTRIM, ZADD\n"
            "    -> give the user the rights of\n"
            "       docs/protocol.md (REDIS_USERNAME)\n"
            "AWS\n"
            "  warning    ecr:GetAuthorizationToken\n"
            "    slow\n"
            "    -> look at AWS_REGION\n"
            "  not tried  push\n"
            "    --push-test\n"
            "\n"
            "1 failure, 1 warning, 1 ok, 1 not tried,\n"
            "in 1.2 s: Redis rights\n");
}

TEST(Findings, FitEveryTerminal) {
  Findings hostile = k_findings;
  hostile.all[0].text = std::string(300, 'x') + " 日本語日本語日本語 " + std::string(50, 'y');
  for (std::size_t columns = 20; columns < 200; ++columns) {
    const std::string text = as_text(hostile, {.interactive = true, .columns = columns});
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos;
         at = end + 1) {
      ASSERT_LE(width_of(std::string_view(text).substr(at, end - at)), columns) << text;
    }
  }
}

TEST(Findings, OfAPipeAreOneLineEach) {
  EXPECT_EQ(as_text(k_findings, {.columns = Terminal::k_no_limit}),
            "STATE      GROUP  WHAT                       FOUND\n"
            "ok         Redis  server                     Redis 7.0.15\n"
            "failure    Redis  rights                     redis refuses EVALSHA: NOPERM this user "
            "may not run LTRIM, ZADD -> give the user the rights of docs/protocol.md "
            "(REDIS_USERNAME)\n"
            "warning    AWS    ecr:GetAuthorizationToken  slow -> look at AWS_REGION\n"
            "not tried  AWS    push                       --push-test\n"
            "1 failure, 1 warning, 1 ok, 1 not tried, in 1.2 s: Redis rights\n");
}

TEST(Findings, HaveColoursWhereTheyAreWanted) {
  EXPECT_TRUE(as_text(k_findings, {.interactive = true, .colour = true, .columns = 80})
                  .contains("\x1b[31mfailure  \x1b[0m  rights"));
}

TEST(Findings, AreAnObjectForPrograms) {
  const auto read = nlohmann::json::parse(as_json(k_findings, Exit::failed));
  EXPECT_EQ(read["failures"], 1);
  EXPECT_EQ(read["warnings"], 1);
  EXPECT_EQ(read["ok"], 1);
  EXPECT_EQ(read["not_tried"], 1);
  EXPECT_EQ(read["exit"], 1);
  EXPECT_EQ(read["seconds"], 1.234);
  ASSERT_EQ(read["findings"].size(), 4U);
  EXPECT_EQ(read["findings"][1],
            (nlohmann::json{{"group", "Redis"},
                            {"what", "rights"},
                            {"state", "failure"},
                            {"text",
                             "redis refuses EVALSHA: NOPERM this user may not run LTRIM, "
                             "ZADD"},
                            {"setting", "REDIS_USERNAME"},
                            {"cure", "give the user the rights of docs/protocol.md"}}));
}

TEST(Findings, DecideTheExitCode) {
  EXPECT_EQ(exit_of(k_findings, false), Exit::failed);
  EXPECT_EQ(exit_of(k_findings, true), Exit::usage) << "however well the rest is";
  EXPECT_EQ(exit_of({.all = {k_findings.all[0], k_findings.all[2], k_findings.all[3]}}, false),
            Exit::ok);
}

}  // namespace
}  // namespace builder::app::cli
