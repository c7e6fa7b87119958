#include "adapters/oci/push_progress.hpp"

#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::oci {
namespace {

using namespace std::chrono_literals;

TEST(PushProgress, SaysHowMuchOfHowMuchAndHowFast) {
  EXPECT_EQ(push_line({.sent = 412'000'000, .total = 862'000'000}, 2'000'000, 10s, 20s),
            "Pushing: 412 of 862 MB (48 %), 41 MB/s");
  EXPECT_EQ(push_line({.sent = 30'000'000, .total = 0}, 5'000'000, 10s, 10s),
            "Pushing: 30 MB so far, 2.5 MB/s");
  EXPECT_EQ(push_line({.sent = 9, .total = 3}, 10, 10s, 10s),
            "Pushing: 0 of 0 MB (100 %), 0.0 MB/s")
      << "an engine may say anything";
  EXPECT_EQ(push_line({}, 0, 10s, 40s), "Pushing: 40 s so far");
}

TEST(PushProgress, OneThatIsQuickHasNoLine) {
  fakes::RecordingEvents events;
  {
    PushProgress progress(events, 10s);
    progress.at({.sent = 5, .total = 10});
  }
  EXPECT_EQ(events.activities(), 0U);
}

TEST(PushProgress, OneThatLastsHasALineForEachInterval) {
  fakes::RecordingEvents events;
  const auto begin = std::chrono::steady_clock::now();
  PushProgress progress(events, 20ms);
  progress.at({.sent = 5'000'000, .total = 10'000'000});
  while (events.activities() < 3 && std::chrono::steady_clock::now() < begin + 20s) {
    std::this_thread::yield();
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 60ms);
  EXPECT_THAT(events.progress(), testing::Each(testing::StartsWith("Pushing: 5 of 10 MB (50 %)")));
}

}  // namespace
}  // namespace builder::adapters::oci
