#include "report/platform_watch.hpp"

#include "fakes/fake_reporter.hpp"

#include <gtest/gtest.h>

namespace builder::report {
namespace {

using domain::DeploymentId;
using domain::LogType;
using namespace std::chrono_literals;

const Error k_unknown{.kind = ErrorKind::not_found, .message = "404", .effect = Effect::none};

class PlatformWatchTest : public testing::Test {
 protected:
  /// What a post of the deployment is answered, when the platform says this.
  std::optional<ErrorKind> post(const char* id, std::optional<Error> answer = std::nullopt) {
    if (answer) {
      reporter_.fail_next(*answer);
    }
    const auto posted = watch().post_log(DeploymentId(id), LogType::info, "x", {});
    return posted ? std::nullopt : std::optional(posted.error().kind);
  }

  PlatformWatch& watch() {
    if (!watch_) {
      watch_.emplace(reporter_, patience_);
      EXPECT_TRUE(watch_->probed({}));
    }
    return *watch_;
  }

  std::chrono::seconds patience_{0};
  fakes::FakeReporter reporter_;
  std::optional<PlatformWatch> watch_;
};

TEST_F(PlatformWatchTest, AnUnknownDeploymentIsAnOutageUntilOthersAreSeenToBeKnown) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable);
  }
  EXPECT_EQ(post("d2"), std::nullopt);
  EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable) << "the outage may be just over";
  EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable) << "nothing new is known";
  EXPECT_EQ(post("d2"), std::nullopt);
  EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable);
  EXPECT_EQ(post("d2"), std::nullopt);
  EXPECT_EQ(post("d1", k_unknown), ErrorKind::not_found);
  EXPECT_EQ(post("d1", k_unknown), ErrorKind::not_found) << "what is proven stays so";
}

TEST_F(PlatformWatchTest, BeforeItHasLastedNothingIsProven) {
  patience_ = 3600s;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable);
    EXPECT_EQ(post("d2"), std::nullopt);
  }
}

TEST_F(PlatformWatchTest, AnotherOneThatIsUnknownMakesItAnOutageAgain) {
  for (const char* other : {"d2", "d3", "d4", "d5"}) {
    EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable);
    EXPECT_EQ(post("d0"), std::nullopt);
    EXPECT_EQ(post(other, k_unknown), ErrorKind::unavailable);
  }
}

TEST_F(PlatformWatchTest, OneThatIsKnownAgainBeginsAnew) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable);
    EXPECT_EQ(post("d2"), std::nullopt);
    EXPECT_EQ(post("d1"), std::nullopt);
  }
}

TEST_F(PlatformWatchTest, WhatIsTrueOfEveryPostStopsTheTakingUntilALookOrAPostSaysOtherwise) {
  const Error stranger{
      .kind = ErrorKind::unavailable, .message = "html", .effect = Effect::unreached};
  const Error key{.kind = ErrorKind::denied, .message = "401", .effect = Effect::none};
  const Error firewall{.kind = ErrorKind::invalid_input, .message = "403", .effect = Effect::none};
  EXPECT_EQ(post("d1", firewall), ErrorKind::invalid_input);
  EXPECT_TRUE(watch().may_take()) << "that post's affair";
  EXPECT_EQ(post("d1", stranger), ErrorKind::unavailable);
  EXPECT_FALSE(watch().may_take());
  EXPECT_EQ(post("d1"), std::nullopt);
  EXPECT_TRUE(watch().may_take());
  EXPECT_EQ(post("d1", key), ErrorKind::denied);
  EXPECT_FALSE(watch().may_take());
  EXPECT_FALSE(watch().probed(std::unexpected(key)));
  EXPECT_FALSE(watch().may_take());
  EXPECT_TRUE(watch().probed({}));
  EXPECT_TRUE(watch().may_take());
}

TEST_F(PlatformWatchTest, NothingIsTakenBeforeTheFirstLook) {
  EXPECT_FALSE(PlatformWatch(reporter_, 1s).may_take());
}

TEST_F(PlatformWatchTest, AnOutageShowsAndOneDeploymentAmongOthersDoesNot) {
  EXPECT_EQ(post("d1", k_unknown), ErrorKind::unavailable);
  const auto outage = watch().probed({});
  ASSERT_FALSE(outage);
  EXPECT_TRUE(outage.error().message.contains("API_URL")) << outage.error().message;
  EXPECT_TRUE(outage.error().message.contains("d1")) << outage.error().message;
  EXPECT_TRUE(watch().may_take()) << "whether others are known is to be seen";
  EXPECT_EQ(watch().unknown(), 1u);
  EXPECT_EQ(post("d2"), std::nullopt);
  EXPECT_TRUE(watch().probed({}));
  for (std::size_t i = 0; i < PlatformWatch::k_most_unknown; ++i) {
    EXPECT_EQ(post(("e" + std::to_string(i)).c_str(), k_unknown), ErrorKind::unavailable);
  }
  EXPECT_FALSE(watch().may_take()) << "enough of them wait";
}

}  // namespace
}  // namespace builder::report
