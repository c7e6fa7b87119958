#include "domain/platform_name.hpp"

#include <gtest/gtest.h>

namespace builder::domain {
namespace {

TEST(PlatformName, AListNamesEachMachineOnce) {
  EXPECT_EQ(platform_list_fault("linux/amd64,linux/arm64,linux/arm/v6,linux/arm/v7"), "");
  EXPECT_EQ(platform_list_fault("linux/amd64,linux/amd64"), "linux/amd64 is there twice");
  EXPECT_EQ(platform_list_fault("linux/amd64,linux/x86_64"), "linux/x86_64 is there twice");
  EXPECT_EQ(platform_list_fault("linux/arm64/v8,linux/aarch64"), "linux/aarch64 is there twice");
}

TEST(PlatformName, IsOneWordInOtherNames) {
  EXPECT_EQ(platform_word("linux/x86_64"), "linux-amd64");
  EXPECT_EQ(platform_word("linux/arm64/v8"), "linux-arm64");
  EXPECT_EQ(platform_word("linux/arm"), "linux-arm-v7");
}

}  // namespace
}  // namespace builder::domain
