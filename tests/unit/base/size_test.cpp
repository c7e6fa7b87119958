#include "base/size.hpp"

#include <gtest/gtest.h>

namespace builder {
namespace {

TEST(Size, ReadsWhatPeopleWrite) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("1000"), 1000u);
  EXPECT_EQ(parse_size("1b"), 1u);
  EXPECT_EQ(parse_size("4k"), 4096u);
  EXPECT_EQ(parse_size("4KiB"), 4096u);
  EXPECT_EQ(parse_size("20GiB"), 20ull << 30);
  EXPECT_EQ(parse_size("20 GB"), 20ull << 30);
  EXPECT_EQ(parse_size("1T"), 1ull << 40);
}

TEST(Size, RefusesTheRest) {
  for (const char* text : {"", "GiB", "-1", "1.5GiB", "1x", "1kk", "1bb", "99999999999T", "10%"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Size, IsShownInItsLargestUnit) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(4ull << 30), "4 GiB");
  EXPECT_EQ(format_size((4ull << 30) - 4096), "4 GiB");
  EXPECT_EQ(format_size(3435973836), "3.2 GiB");
}

TEST(Size, IsToldOfTransfersAsRegistriesCount) {
  EXPECT_EQ(bytes_in_words(0), "0 B");
  EXPECT_EQ(bytes_in_words(999), "999 B");
  EXPECT_EQ(bytes_in_words(1'000), "1.0 kB");
  EXPECT_EQ(bytes_in_words(999'949), "999.9 kB");
  EXPECT_EQ(bytes_in_words(999'951), "1.0 MB");
  EXPECT_EQ(bytes_in_words(5'000'000'000'000'000), "5000.0 TB");
}

}  // namespace
}  // namespace builder
