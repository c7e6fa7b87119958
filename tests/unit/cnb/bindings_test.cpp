#include "adapters/cnb/bindings.hpp"

#include "base/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace builder::adapters::cnb {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class BindingsTest : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& content) {
    const auto file = folder_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }

  std::string complaint() {
    const auto read = read_bindings(folder_.string());
    EXPECT_FALSE(read);
    return read ? "" : read.error().message;
  }

  TempDir owner_ = *TempDir::make(testing::TempDir(), "bindings-");
  std::filesystem::path folder_ = owner_.path();
};

TEST_F(BindingsTest, AreReadInOrderByteForByte) {
  write("npm/type", "npmrc");
  write("npm/.npmrc", "//x/:_authToken=a\nb\n");
  write("ca/type", "ca-certificates");
  const auto read = read_bindings(folder_.string());
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_THAT(*read, SizeIs(3));
  EXPECT_EQ((*read)[0].binding, "ca");
  EXPECT_EQ((*read)[1].key, ".npmrc");
  EXPECT_EQ((*read)[1].value.reveal(), "//x/:_authToken=a\nb\n");
}

TEST_F(BindingsTest, KubernetesMountsAreUnderstood) {
  write("npm/..2026/type", "npmrc");
  std::filesystem::create_symlink("..2026", folder_ / "npm/..data");
  std::filesystem::create_symlink("..data/type", folder_ / "npm/type");
  const auto read = read_bindings(folder_.string());
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_THAT(*read, SizeIs(1));
  EXPECT_EQ((*read)[0].value.reveal(), "npmrc");
}

TEST_F(BindingsTest, WhatIsNoBindingIsNamed) {
  EXPECT_THAT(read_bindings("").value(), SizeIs(0));
  EXPECT_FALSE(read_bindings("/nonexistent/bindings"));
  write("npm/.npmrc", "x");
  EXPECT_THAT(complaint(), HasSubstr("type"));
  write("npm/type", "npmrc");
  write("npm/a,uid=0", "x");
  EXPECT_THAT(complaint(), HasSubstr("a,uid=0"));
  std::filesystem::remove(folder_ / "npm/a,uid=0");
  write("npm/big", std::string(65 * 1024, 'x'));
  EXPECT_THAT(complaint(), HasSubstr("64 KiB"));
  std::filesystem::remove(folder_ / "npm/big");
  std::filesystem::create_directory(folder_ / "npm/folder");
  EXPECT_THAT(complaint(), HasSubstr("folder"));
  std::filesystem::remove(folder_ / "npm/folder");
  write("loose", "x");
  EXPECT_THAT(complaint(), HasSubstr("loose"));
}

TEST(MirrorBinding, IsOneOfTypeDependencyMirror) {
  EXPECT_THAT(mirror_binding(Secret()), SizeIs(0));
  const auto values = mirror_binding(Secret("https://u:p@m.example/{originalHost}"));
  ASSERT_THAT(values, SizeIs(2));
  EXPECT_EQ(values[0].value.reveal(), "dependency-mirror");
  EXPECT_EQ(values[1].key, "default");
}

}  // namespace
}  // namespace builder::adapters::cnb
