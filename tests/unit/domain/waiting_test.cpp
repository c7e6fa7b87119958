// What deployments in the queue are told of their place and of how long it takes.
#include "domain/waiting.hpp"

#include <gtest/gtest.h>

namespace builder::domain {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr QueuePace k_nobody{};

WaitingLine line_of(const std::vector<std::string>& names, QueuePace pace = k_nobody) {
  WaitingLine line{.waiting = {}, .pace = std::move(pace)};
  for (const std::string& name : names) {
    line.waiting.emplace_back(name);
  }
  return line;
}

TEST(WaitingWords, SayThePlaceAndTheTimeAsPeopleDo) {
  EXPECT_EQ(in_words({.place = 3, .wait = 125s}), "Waiting: 3rd in the queue, about 2 minutes");
  EXPECT_EQ(in_words({.place = 1, .wait = 59s}), "Waiting: 1st in the queue, less than a minute");
  EXPECT_EQ(in_words({.place = 2, .wait = 80s}), "Waiting: 2nd in the queue, about a minute");
  EXPECT_EQ(in_words({.place = 11, .wait = 17min}), "Waiting: 11th in the queue, about 15 minutes");
  EXPECT_EQ(in_words({.place = 22, .wait = 59min}), "Waiting: 22nd in the queue, about an hour");
  EXPECT_EQ(in_words({.place = 113, .wait = 89min}), "Waiting: 113th in the queue, about an hour");
  EXPECT_EQ(in_words({.place = 50, .wait = 5h}), "Waiting: 50th in the queue, about 5 hours");
  EXPECT_EQ(in_words({.place = 4, .wait = {}}), "Waiting: 4th in the queue");
}

TEST(ExpectedWaits, CountTheSlotsAndWhatTheBuildsUnderWayStillTake) {
  const QueuePace pace{.slots = 2, .running = {10s, 50s}, .took = {60s, 60s, 60s}};
  EXPECT_EQ(expected_waits(pace, 4), (std::vector<milliseconds>{10s, 50s, 70s, 110s}));
}

TEST(ExpectedWaits, LearnFromTheLongBuildsHowLongALateOneStillTakes) {
  // The mean is 40 s; of those that took longer than 30 s, one took 70 s more.
  const QueuePace pace{.slots = 1, .running = {30s}, .took = {10s, 10s, 100s}};
  EXPECT_EQ(expected_waits(pace, 2), (std::vector<milliseconds>{70s, 110s}));
  // Later than all of them: a mean once more, rather than "now" for ever.
  EXPECT_EQ(expected_waits({.slots = 1, .running = {200s}, .took = {10s, 10s, 100s}}, 1),
            (std::vector<milliseconds>{40s}));
}

TEST(ExpectedWaits, BuildsBeyondTheSlotsEndBeforeOneIsFree) {
  const QueuePace pace{.slots = 1, .running = {50s, 10s}, .took = {60s, 60s, 60s}};
  EXPECT_EQ(expected_waits(pace, 1), (std::vector<milliseconds>{50s}));
}

TEST(ExpectedWaits, SayNothingThatIsNotKnown) {
  const std::vector<milliseconds> took{60s, 60s, 60s};
  EXPECT_TRUE(expected_waits({.slots = 1, .running = {1s}, .took = {60s, 60s}}, 1).empty());
  EXPECT_TRUE(expected_waits({.slots = 0, .running = {}, .took = took}, 1).empty())
      << "all workers are paused";
  EXPECT_TRUE(expected_waits({.slots = 2, .running = {1s}, .took = took}, 1).empty())
      << "a slot is free, and nobody takes";
}

TEST(WaitingNews, AreEachStepNearTheHeadAndGreatOnesFarBehind) {
  EXPECT_FALSE(is_news({.place = 3, .wait = 130s}, {.place = 3, .wait = 120s}));
  EXPECT_FALSE(is_news({.place = 3, .wait = 130s}, {.place = 3, .wait = 62s}))
      << "that it gets shorter is what was said";
  EXPECT_TRUE(is_news({.place = 3, .wait = 60s}, {.place = 3, .wait = 121s}));
  EXPECT_TRUE(is_news({.place = 3, .wait = {}}, {.place = 3, .wait = 60s}));
  EXPECT_FALSE(is_news({.place = 3, .wait = 60s}, {.place = 3, .wait = {}}));
  EXPECT_TRUE(is_news({.place = 4, .wait = {}}, {.place = 3, .wait = {}}));
  EXPECT_FALSE(is_news({.place = 40, .wait = {}}, {.place = 31, .wait = {}}));
  EXPECT_TRUE(is_news({.place = 40, .wait = {}}, {.place = 30, .wait = {}}));
  EXPECT_TRUE(is_news({.place = 2, .wait = {}}, {.place = 3, .wait = {}})) << "it went back";
}

TEST(WaitingNotices, TellNothingToWhatIsTakenWithinSeconds) {
  WaitingNotices notices;
  const WaitingNotices::Time start{};
  EXPECT_TRUE(notices.due(line_of({"a", "b"}), start).empty());
  EXPECT_TRUE(notices.due(line_of({"b"}), start + 4s).empty());
  const auto due = notices.due(line_of({"a", "b"}), start + 5s);
  ASSERT_EQ(due.size(), 1u) << "a left the line and is new again";
  EXPECT_EQ(due[0].first.str(), "b");
  EXPECT_EQ(due[0].second.place, 2u);
}

TEST(WaitingNotices, TellNewsOnlyAndNotTooOften) {
  WaitingNotices notices;
  const DeploymentId b("b");
  const WaitingNotices::Time start{};
  EXPECT_TRUE(notices.due(line_of({"a", "b"}), start).empty());
  EXPECT_EQ(notices.due(line_of({"a", "b"}), start + 5s).size(), 2u);
  EXPECT_EQ(notices.due(line_of({"a", "b"}), start + 6s).size(), 2u) << "not said so far";
  notices.said(b, {.place = 2, .wait = {}}, start + 6s);
  notices.leave_alone(DeploymentId("a"));
  EXPECT_TRUE(notices.due(line_of({"a", "b"}), start + 60s).empty()) << "nothing has changed";
  notices.said(b, {.place = 2, .wait = {}}, start + 60s);
  EXPECT_TRUE(notices.due(line_of({"b"}), start + 74s).empty()) << "too soon";
  const auto due = notices.due(line_of({"b"}), start + 75s);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(in_words(due[0].second), "Waiting: 1st in the queue");
}

TEST(WaitingNotices, GiveEachItsOwnEstimateAndNobodyTwo) {
  WaitingNotices notices;
  const QueuePace pace{.slots = 1, .running = {0s}, .took = {60s, 60s, 60s}};
  const WaitingNotices::Time start{};
  EXPECT_TRUE(notices.due(line_of({"a", "b", "a"}, pace), start).empty());
  const auto due = notices.due(line_of({"a", "b", "a"}, pace), start + 5s);
  ASSERT_EQ(due.size(), 2u) << "a stands in the queue twice";
  EXPECT_EQ(due[0].second.wait, 60s);
  EXPECT_EQ(due[1].second.wait, 120s);
}

}  // namespace
}  // namespace builder::domain
