#include "ports/platform_events.hpp"

#include "domain/shown_steps.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::ports {
namespace {

using testing::ElementsAre;

TEST(PlatformEvents, StepsBearThePlatformAsInOneSolve) {
  EXPECT_EQ(with_platform("linux/arm64", "[web 2/4] RUN a"), "[linux/arm64 web 2/4] RUN a");
  EXPECT_EQ(with_platform("linux/arm64", "[internal] load metadata for a"),
            "[linux/arm64 internal] load metadata for a");
  EXPECT_TRUE(domain::is_internal_step(with_platform("linux/arm64", "[internal] load a")));
  EXPECT_FALSE(domain::is_internal_step(with_platform("linux/arm64", "[internal 1/2] RUN a")));
  EXPECT_EQ(with_platform("linux/arm64", "exporting to image"), "[linux/arm64] exporting to image");
}

TEST(PlatformEvents, StepsOfTwoSolvesAreNumberedTogether) {
  fakes::RecordingEvents events;
  std::atomic<std::uint32_t> last = 0;
  PlatformEvents one(events, last, "linux/amd64");
  PlatformEvents two(events, last, "linux/arm64");
  one.emit(domain::StepStarted{.step = 1, .name = "[1/2] RUN a"});
  two.emit(domain::StepStarted{.step = 1, .name = "[1/2] RUN a"});
  two.emit(domain::StepOutput{.step = 1, .data = "x"});
  two.emit(domain::Activity{.transfer = domain::Transfer{.step = 1, .name = "t"}});
  one.emit(domain::StepFinished{.step = 1, .name = "[1/2] RUN a"});
  two.emit(domain::Activity{.waiting = 1});
  two.warning("slow");
  one.emit(domain::OutputLost{"gone"});
  EXPECT_THAT(events.lines(), ElementsAre("start 1 [linux/amd64 1/2] RUN a",
                                          "start 2 [linux/arm64 1/2] RUN a", "out 2 x", "done 1",
                                          "WARNING [linux/arm64] slow", "lost [linux/amd64] gone"));
  EXPECT_THAT(events.transfers(), ElementsAre("2 t 0/0", "2 waits"));
}

}  // namespace
}  // namespace builder::ports
