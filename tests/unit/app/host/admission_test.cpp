#include "app/host/admission.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::app {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_gib = 1ull << 30;

HostState with_free(std::uint64_t free) {
  return {.disks = {{.name = "WORK_DIR", .free = free, .total = 100 * k_gib}}};
}

TEST(FreeFloor, IsAShareASizeOrTheLesserOfBoth) {
  EXPECT_EQ(parse_free_floor("10%")->of(50 * k_gib), 5 * k_gib);
  EXPECT_EQ(parse_free_floor("20GiB")->of(50 * k_gib), 20 * k_gib);
  const auto both = parse_free_floor("10%,20GiB");
  EXPECT_EQ(both->of(50 * k_gib), 5 * k_gib);
  EXPECT_EQ(both->of(5'000 * k_gib), 20 * k_gib);
  EXPECT_EQ(parse_free_floor("0")->of(50 * k_gib), 0u);
  for (const char* text : {"ten", "91%", "-1%", "10%,20%", "1GiB,2GiB", "10 GiB%"}) {
    EXPECT_FALSE(parse_free_floor(text)) << text;
  }
}

TEST(Admission, ADiskWithMoreThanItsFloorIsFine) {
  Admission admission({.min_free_disk = *parse_free_floor("10%,20GiB")});
  admission.look(with_free(27 * k_gib));
  EXPECT_EQ(admission.refusal(), "");
  EXPECT_FALSE(admission.critical());
  EXPECT_EQ(admission.missing("WORK_DIR"), 0u);
}

TEST(Admission, AShortDiskRefusesUntilClearlyMoreIsFree) {
  Admission admission({.min_free_disk = *parse_free_floor("10GiB")});
  admission.look(with_free(9 * k_gib));
  const std::string words = admission.refusal();
  EXPECT_EQ(words,
            "9 GiB of 100 GiB are free on the disk of WORK_DIR, MIN_FREE_DISK asks for 10 GiB");
  EXPECT_FALSE(admission.critical());
  EXPECT_EQ(admission.missing("WORK_DIR"), 2 * k_gib);
  EXPECT_THAT(admission.short_of(), testing::ElementsAre("disk"));
  admission.look(with_free(8 * k_gib));
  EXPECT_EQ(admission.refusal(), words) << "the log would tell it again and again";
  admission.look(with_free(10 * k_gib + 1));
  EXPECT_EQ(admission.refusal(), words) << "it would flap";
  admission.look(with_free(11 * k_gib));
  EXPECT_EQ(admission.refusal(), "");
}

TEST(Admission, HalfOfTheFloorIsCritical) {
  Admission admission({.min_free_disk = *parse_free_floor("10GiB")});
  admission.look(with_free(5 * k_gib));
  EXPECT_FALSE(admission.critical());
  admission.look(with_free(5 * k_gib - 1));
  EXPECT_TRUE(admission.critical());
  admission.look(with_free(7 * k_gib));
  EXPECT_FALSE(admission.critical());
}

TEST(Admission, InodesRunOutToo) {
  Admission admission({.min_free_disk = *parse_free_floor("10%")});
  HostState host = with_free(90 * k_gib);
  host.disks[0].total_inodes = 1'000'000;
  host.disks[0].free_inodes = 49'000;
  admission.look(host);
  EXPECT_THAT(admission.refusal(), HasSubstr("49000 more files"));
  EXPECT_THAT(admission.short_of(), testing::ElementsAre("inodes"));
  host.disks[0].free_inodes = 20'000;
  admission.look(host);
  EXPECT_TRUE(admission.critical());
  host.disks[0].free_inodes = 60'000;
  admission.look(host);
  EXPECT_EQ(admission.refusal(), "");
}

TEST(Admission, AFileSystemThatCountsNoInodesIsFine) {
  Admission admission({.min_free_disk = *parse_free_floor("10%")});
  admission.look(with_free(90 * k_gib));
  EXPECT_EQ(admission.refusal(), "");
}

TEST(Admission, PressureRefusesUntilItIsClearlyLess) {
  Admission admission({.max_memory_pressure = 40, .max_io_pressure = 0});
  admission.look({.memory_pressure = 41.2, .io_pressure = 99});
  EXPECT_EQ(admission.refusal(),
            "processes of this host waited for memory in 41 % of the last 10 s, "
            "MAX_MEMORY_PRESSURE allows 40 %");
  EXPECT_FALSE(admission.critical());
  admission.look({.memory_pressure = 35});
  EXPECT_NE(admission.refusal(), "");
  admission.look({.memory_pressure = 29});
  EXPECT_EQ(admission.refusal(), "");
}

TEST(Admission, ADiskThatVanishedRefusesNothing) {
  Admission admission({.min_free_disk = *parse_free_floor("10GiB")});
  admission.look(with_free(1));
  EXPECT_NE(admission.refusal(), "");
  admission.look({});
  EXPECT_EQ(admission.refusal(), "");
}

}  // namespace
}  // namespace builder::app
