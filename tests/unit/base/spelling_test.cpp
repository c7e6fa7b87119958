#include "base/spelling.hpp"

#include <gtest/gtest.h>

#include <array>

namespace builder {
namespace {

TEST(Spelling, CountsTheLettersThatDiffer) {
  EXPECT_EQ(spelling_distance("", ""), 0U);
  EXPECT_EQ(spelling_distance("", "abc"), 3U);
  EXPECT_EQ(spelling_distance("build", "build"), 0U);
  EXPECT_EQ(spelling_distance("buld", "build"), 1U);
  EXPECT_EQ(spelling_distance("biuld", "build"), 2U);
  EXPECT_EQ(spelling_distance("builds", "guild"), 2U);
}

TEST(Spelling, FindsTheWordThatWasMeant) {
  constexpr auto k_known = std::to_array<std::string_view>({"build", "config", "queue", "show"});
  EXPECT_EQ(nearest_word("buld", k_known), "build");
  EXPECT_EQ(nearest_word("biuld", k_known), "build");
  EXPECT_EQ(nearest_word("cnofig", k_known), "config");
  EXPECT_EQ(nearest_word("shwo", k_known), "show");
  for (const char* far : {"", "x", "deploy", "ls", "a-word-that-is-far-too-long-to-be-one"}) {
    EXPECT_EQ(nearest_word(far, k_known), "") << far;
  }
}

}  // namespace
}  // namespace builder
