#include "adapters/host/pressure.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::host {
namespace {

TEST(Pressure, IsTheShareInWhichSomeWaited) {
  EXPECT_EQ(parse_pressure("some avg10=21.66 avg60=5.18 avg300=1.14 total=8319531704\n"
                           "full avg10=0.50 avg60=0.00 avg300=0.00 total=0\n"),
            21.66);
}

TEST(Pressure, IsNotKnownFromOtherText) {
  EXPECT_EQ(parse_pressure(""), std::nullopt);
  EXPECT_EQ(parse_pressure("some avg10=\n"), std::nullopt);
  EXPECT_EQ(parse_pressure("full avg10=0.50\n"), std::nullopt);
}

}  // namespace
}  // namespace builder::adapters::host
