#include "base/iso_time.hpp"

#include <gtest/gtest.h>

namespace builder {
namespace {

const MillisecondTime k_some{std::chrono::milliseconds(1'764'437'000'123)};

TEST(IsoTime, IsReadBackAsItWasWritten) {
  EXPECT_EQ(iso_time(k_some), "2025-11-29T17:23:20.123Z");
  for (const std::int64_t ms : {0LL, -1LL, 1'764'437'000'123LL, 7'258'118'399'999LL}) {
    const MillisecondTime time{std::chrono::milliseconds(ms)};
    EXPECT_EQ(parse_iso_time(iso_time(time)), time) << iso_time(time);
  }
}

TEST(IsoTime, TakesDatesAndTimesAsPeopleWriteThem) {
  EXPECT_EQ(parse_iso_time("2025-11-29T17:23:20.123456789Z"), k_some);
  EXPECT_EQ(parse_iso_time("2025-11-29 17:23:20.123"), k_some);
  EXPECT_EQ(parse_iso_time("2025-11-29T17:23:20"), k_some - std::chrono::milliseconds(123));
  EXPECT_EQ(parse_iso_time("2025-11-29"), std::chrono::floor<std::chrono::days>(k_some));
}

TEST(IsoTime, TakesNothingElse) {
  for (const char* text :
       {"", "2025", "2025-11", "2025-13-01", "2025-02-30", "2025-11-29T", "2025-11-29T17:23",
        "2025-11-29T24:00:00", "2025-11-29T17:60:00", "2025-11-29T17:23:61", "20251129T172320Z",
        "2025-11-29T17:23:20.Z", "2025-11-29T17:23:20+01:00", "2025-11-29T17:23:20ZZ", "-025-11-29",
        "2025--1-29", " 2025-11-29", "2025-11-29x"}) {
    EXPECT_EQ(parse_iso_time(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace builder
