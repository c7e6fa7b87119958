#include "fakes/random_text.hpp"

#include "fuzz/target.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace builder::fuzz {
namespace {

std::vector<std::string> corpus(const std::string& target) {
  std::vector<std::string> inputs;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(BUILDER_CORPUS) / target)) {
    std::ifstream file(entry.path(), std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::ranges::sort(inputs);
  return inputs;
}

void run(const std::string& name, const std::string& input) {
  try {
    targets().at(name)(input);
  } catch (const Broken& broken) {
    ADD_FAILURE() << name << ": " << broken.what() << "\nfor " << testing::PrintToString(input);
  }
}

TEST(Fuzz, EveryTargetHoldsForItsCorpusAndDamagedCopiesOfIt) {
  constexpr int k_rounds = 400;
  ASSERT_FALSE(targets().empty());
  for (const auto& [name, target] : targets()) {
    const auto inputs = corpus(name);
    EXPECT_FALSE(inputs.empty()) << name;
    fakes::RandomText random(
        41, {"\\", "%", "&", "'",  "\"", "\n", "\r", "\x1B[", "\u202E", "../", "[",
             "]",  "{", "}", "**", "!",  "#",  "=",  ".",     ",",      ":",   "$(x)"});
    for (const std::string& input : inputs) {
      run(name, input);
    }
    for (int round = 0; round < k_rounds && !HasFailure(); ++round) {
      run(name, random.damage(inputs[random.below(inputs.size())]));
    }
  }
}

}  // namespace
}  // namespace builder::fuzz
