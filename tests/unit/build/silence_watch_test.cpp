#include "build/silence_watch.hpp"

#include "fakes/recording_events.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace builder::build {
namespace {

using namespace std::chrono_literals;

TEST(SilenceWatch, NamesTheStepThatWentSilent) {
  fakes::RecordingEvents events;
  std::promise<std::string> silent;
  SilenceWatch watch(
      events, 20ms, [] { return false; }, [&](const std::string& step) { silent.set_value(step); });
  watch.emit(domain::StepStarted{1, "RUN sleep infinity"});
  watch.begin();
  auto step = silent.get_future();
  ASSERT_EQ(step.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(step.get(), "RUN sleep infinity");
  EXPECT_TRUE(events.contains("start 1 RUN sleep infinity")) << "events pass";
  watch.end();
}

TEST(SilenceWatch, ABuildThatComputesIsNotSilent) {
  fakes::RecordingEvents events;
  std::atomic<int> asked = 0;
  std::promise<int> silent;
  SilenceWatch watch(
      events, 5ms, [&] { return ++asked < 4; },
      [&](const std::string&) { silent.set_value(asked); });
  watch.begin();
  auto after = silent.get_future();
  ASSERT_EQ(after.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(after.get(), 4);
}

TEST(SilenceWatch, SignsOfLifeKeepItQuiet) {
  fakes::RecordingEvents events;
  std::atomic<bool> silent = false;
  SilenceWatch watch(events, 10s, [] { return false; }, [&](const std::string&) { silent = true; });
  watch.begin();
  watch.emit(domain::Activity{});
  watch.end();
  EXPECT_FALSE(silent);
  EXPECT_EQ(events.activities(), 1u);
}

TEST(SilenceWatch, ZeroNeverEnds) {
  fakes::RecordingEvents events;
  std::atomic<bool> silent = false;
  SilenceWatch watch(events, 0ms, [] { return false; }, [&](const std::string&) { silent = true; });
  watch.begin();
  watch.end();
  EXPECT_FALSE(silent);
}

}  // namespace
}  // namespace builder::build
