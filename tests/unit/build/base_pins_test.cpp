#include "build/base_pins.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::build {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using testing::ElementsAre;
using testing::Pair;

constexpr const char* k_python = "docker.io/library/python:3.12";
constexpr const char* k_node = "docker.io/library/node:22";

std::string digest(char digit) {
  return "sha256:" + std::string(64, digit);
}

sys_seconds at(int time) {
  return sys_seconds(seconds(time));
}

TEST(BasePins, AreReadAsTheyWereWritten) {
  BasePins pins;
  pins.renew({k_python, digest('a')}, at(10));
  pins.renew({k_node, digest('b')}, at(20));
  EXPECT_EQ(BasePins::read(pins.write()).all(), pins.all());
  EXPECT_EQ(pins.find(k_python)->since, at(10));
  EXPECT_EQ(pins.find("docker.io/library/python:3.13"), nullptr);
}

TEST(BasePins, WhatCannotBeReadIsForgotten) {
  const std::string good = R"({"digest":")" + digest('a') + R"(","since":1})";
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1]"), std::string(R"({"x":1})"),
        std::string(R"({"x":{"digest":"sha256:short","since":1}})"),
        R"({"x":{"digest":")" + digest('a') + R"("}})",
        R"({"x":{"digest":")" + digest('a') + R"(","since":-1}})",
        R"({"x":{"digest":")" + digest('a') + R"(","since":9223372036854775807}})",
        R"({"":)" + good + "}", "{\"" + std::string(600, 'x') + "\":" + good + "}"}) {
    EXPECT_TRUE(BasePins::read(text).all().empty()) << text;
  }
  EXPECT_EQ(BasePins::read(R"({"x":1,"y":)" + good + "}").all().size(), 1u);
  EXPECT_TRUE(BasePins::read(std::string(100'000, '[')).all().empty());
}

TEST(BasePins, CountUntilTheyAreToBeRenewed) {
  BasePins pins;
  pins.renew({k_python, digest('a')}, at(10));
  pins.renew({k_node, digest('b')}, at(20));
  EXPECT_THAT(pins.at(at(24), seconds(15)),
              ElementsAre(Pair(k_node, digest('b')), Pair(k_python, digest('a'))));
  EXPECT_THAT(pins.at(at(25), seconds(15)), ElementsAre(Pair(k_node, digest('b'))));
  EXPECT_EQ(pins.at(at(1'000'000), seconds(0)).size(), 2u) << "never";
  pins.renew({k_python, digest('c')}, at(25));
  EXPECT_EQ(pins.at(at(25), seconds(15)).at(k_python), digest('c'));
}

TEST(BasePins, TheOldestGoWhereThereAreTooMany) {
  BasePins pins;
  for (int i = 0; i < 40; ++i) {
    pins.renew({"base:" + std::to_string(i), digest('a')}, at(i));
  }
  EXPECT_EQ(pins.all().size(), BasePins::k_most);
  EXPECT_EQ(pins.find("base:7"), nullptr);
  EXPECT_NE(pins.find("base:8"), nullptr);
}

}  // namespace
}  // namespace builder::build
