#include "app/doctor/report.hpp"

#include "app/doctor/checks.hpp"

#include <gtest/gtest.h>

#include <string>

namespace builder::app {
namespace {

using std::chrono::seconds;

TEST(Report, ShowsNoSecretAndNoControlCharacter) {
  SecretStore secrets;
  secrets.add_forever({{"API_KEY", Secret("tops3cret-Qx7/vB9mW2")}});
  Report report("API", secrets);
  report.failure("key", "it is tops3cret-Qx7/vB9mW2\n\x1b[2Jforged",
                 {.cure = "not tops3cret-Qx7/vB9mW2"});
  const Finding found = report.findings().at(0);
  EXPECT_FALSE(found.text.contains("tops3cret")) << found.text;
  EXPECT_FALSE(found.cure.contains("tops3cret")) << found.cure;
  EXPECT_TRUE(found.text.ends_with(" forged")) << found.text;
  EXPECT_EQ(found.text.find_first_of("\n\x1b"), std::string::npos);
}

TEST(Report, SaysThatTimeWasUp) {
  const SecretStore secrets;
  Report report("Redis", secrets);
  report.failure("server", Error{.kind = ErrorKind::cancelled, .message = "stopped"}, {});
  EXPECT_EQ(report.findings().at(0).text, "no answer in time: stopped");
}

TEST(Report, TheSettingOfAnErrorCounts) {
  const SecretStore secrets;
  Report report("engine", secrets);
  report.failure("server", Error{.message = "away", .setting = "DOCKER_HOST"},
                 {.setting = "BUILDKIT_HOST"});
  EXPECT_EQ(report.findings().at(0).setting, "DOCKER_HOST");
}

struct Offset {
  seconds ahead;
  State state;
  std::string text;
};

class Clocks : public testing::TestWithParam<Offset> {};

TEST_P(Clocks, AreComparedWithTheMiddleOfTheExchange) {
  const SecretStore secrets;
  Report report("Redis", secrets);
  const auto now = std::chrono::system_clock::now();
  compare_clocks(report, "Redis", now + seconds(1) + GetParam().ahead, now, now + seconds(2));
  const Finding found = report.findings().at(0);
  EXPECT_EQ(found.group, "clock");
  EXPECT_EQ(found.what, "Redis");
  EXPECT_EQ(found.state, GetParam().state);
  EXPECT_EQ(found.text, GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Offsets, Clocks,
    testing::Values(Offset{seconds(0), State::ok, "as this machine's"},
                    Offset{seconds(-4), State::ok, "as this machine's"},
                    Offset{seconds(5), State::warning, "5 s ahead of this machine's"},
                    Offset{seconds(-60), State::failure, "60 s behind this machine's"}));

}  // namespace
}  // namespace builder::app
