#include "base/json.hpp"

#include <gtest/gtest.h>

#include <string>

namespace builder {
namespace {

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

TEST(Json, IsReadUpToADepth) {
  EXPECT_FALSE(parse_json(nested(k_deepest_json)).is_discarded());
  EXPECT_TRUE(parse_json(nested(k_deepest_json + 1)).is_discarded());
  EXPECT_TRUE(parse_json(nested(1'000'000)).is_discarded());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) {
    objects += R"({"a":)";
  }
  EXPECT_TRUE(parse_json(objects).is_discarded());
}

TEST(Json, BracketsInTextsAreNoLevels) {
  const std::string brackets(1'000, '[');
  EXPECT_EQ(parse_json(R"({"a":"\")" + brackets + R"("})")["a"], "\"" + brackets);
  EXPECT_EQ(parse_json(R"(["\\", "]"])").size(), 2U);
  std::string many = "[";
  for (int i = 0; i < 1'000; ++i) {
    many += "[[{}]],";
  }
  EXPECT_FALSE(parse_json(many + "1]").is_discarded());
}

TEST(Json, WhatIsNoneIsDiscarded) {
  for (const char* text : {"", "<html>", "[", "\"", "\"\\", "]]]", "nul"}) {
    EXPECT_TRUE(parse_json(text).is_discarded()) << text;
  }
}

}  // namespace
}  // namespace builder
