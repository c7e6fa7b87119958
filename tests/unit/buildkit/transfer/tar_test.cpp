#include "adapters/buildkit/transfer/tar.hpp"

#include <gtest/gtest.h>

#include <cstdio>

namespace builder::adapters::buildkit {
namespace {

std::string entry(const std::string& name, const std::string& content, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  char size[12];
  std::snprintf(size, sizeof size, "%011zo", content.size());
  header.replace(124, 11, size);
  header[156] = type;
  header.replace(257, 5, "ustar");
  std::string data = content;
  data.resize((content.size() + 511) / 512 * 512, '\0');
  return header + data;
}

const std::string k_end(1024, '\0');

TEST(Tar, GivesTheRegularFiles) {
  const auto files = read_tar(entry("folder/", "", '5') + entry("folder/a", "hello") +
                              entry("x", "30 mtime=1.5\n", 'x') + entry("./b", "") +
                              entry("link", "", '2') + k_end);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->size(), 2U);
  EXPECT_EQ(files->at("folder/a"), "hello");
  EXPECT_EQ(files->at("b"), "");
}

TEST(Tar, EmptyAndUnendedOnesAreRead) {
  EXPECT_TRUE(read_tar("")->empty());
  EXPECT_EQ(read_tar(entry("a", "x"))->size(), 1U);
}

TEST(Tar, WhatIsNoneIsAnError) {
  EXPECT_FALSE(read_tar(std::string(512, 'x')));
  std::string wrong = entry("a", "hello");
  wrong.replace(124, 11, "77777777777");  // More than there is.
  EXPECT_FALSE(read_tar(wrong));
  wrong.replace(124, 11, "-1         ");
  EXPECT_FALSE(read_tar(wrong));
  wrong.replace(124, 12, std::string(12, '\xff'));
  EXPECT_FALSE(read_tar(wrong));
}

TEST(Tar, TakesABoundedNumberOfFiles) {
  std::string many;
  for (int i = 0; i < 500; ++i) {
    many += entry("f" + std::to_string(i), "");
  }
  EXPECT_EQ(read_tar(many + k_end)->size(), 100U);
}

}  // namespace
}  // namespace builder::adapters::buildkit
