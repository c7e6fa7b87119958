#include "build/image_memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::build {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

MadeImage image(const std::string& inputs, int time) {
  return {.inputs = inputs,
          .repository = "registry.test/s",
          .digest = "sha256:" + inputs,
          .bases = {{"docker.io/library/busybox:latest", "sha256:b"}},
          .made_at = sys_seconds(seconds(time)),
          .commit = "c"};
}

TEST(ImageMemory, IsReadAsItWasWritten) {
  ImageMemory memory;
  memory.add(image("1", 10));
  memory.add(image("2", 20));
  EXPECT_EQ(ImageMemory::read(memory.write()).images(), memory.images());
}

TEST(ImageMemory, ForgetsWhatCannotBeRead) {
  for (const std::string text :
       {"", "{", "{}", "[1]", R"([{"inputs":"i","repository":"r","digest":"d"}])",
        R"([{"inputs":"i","repository":"r","digest":"d","bases":[],"madeAt":1}])",
        R"([{"inputs":"i","repository":"r","digest":"d","bases":{"x":1},"madeAt":1}])",
        R"([{"inputs":"i","repository":"r","digest":"d","bases":{},"madeAt":"1"}])"}) {
    EXPECT_TRUE(ImageMemory::read(text).images().empty()) << text;
  }
  EXPECT_TRUE(ImageMemory::read(std::string(100'000, '[')).images().empty());
}

TEST(ImageMemory, FindsTheImageOfTheSameInputsInTheSameRepository) {
  ImageMemory memory;
  memory.add(image("1", 10));
  ASSERT_NE(memory.find("1", "registry.test/s"), nullptr);
  EXPECT_EQ(memory.find("1", "registry.test/s")->digest, "sha256:1");
  EXPECT_EQ(memory.find("1", "registry.test/other"), nullptr);
  EXPECT_EQ(memory.find("2", "registry.test/s"), nullptr);
}

TEST(ImageMemory, KeepsOneImageOfTheSameInputsAndTheNewestOfAll) {
  ImageMemory memory;
  memory.add(image("same", 1));
  auto rebuilt = image("same", 2);
  rebuilt.digest = "sha256:new";
  memory.add(rebuilt);
  EXPECT_EQ(memory.find("same", "registry.test/s")->digest, "sha256:new");
  EXPECT_EQ(memory.images().size(), 1u);
  for (int i = 0; i < 30; ++i) {
    memory.add(image(std::to_string(i), i));
  }
  EXPECT_EQ(memory.images().size(), ImageMemory::k_most);
  EXPECT_EQ(memory.images().front().inputs, "29");
}

TEST(ImageMemory, ForgetsWhatIsTooOld) {
  ImageMemory memory;
  memory.add(image("1", 10));
  memory.add(image("2", 20));
  memory.forget_before(sys_seconds(seconds(15)));
  EXPECT_EQ(memory.find("1", "registry.test/s"), nullptr);
  EXPECT_NE(memory.find("2", "registry.test/s"), nullptr);
}

TEST(ImageMemory, NamesTheBasesOfNewerImagesFirst) {
  ImageMemory memory;
  memory.add(image("1", 1));
  auto newer = image("2", 2);
  newer.bases = {{"a", "sha256:a"}, {"docker.io/library/busybox:latest", "sha256:c"}};
  memory.add(newer);
  EXPECT_THAT(memory.base_names(), testing::ElementsAre("a", "docker.io/library/busybox:latest"));
  EXPECT_EQ(memory.last("docker.io/library/busybox:latest")->digest, "sha256:c");
  EXPECT_EQ(memory.last("b"), nullptr);
  for (int i = 0; i < 20; ++i) {
    auto other = image(std::to_string(i), i);
    other.bases = {{"base" + std::to_string(i), "sha256:x"}};
    memory.add(other);
  }
  EXPECT_EQ(memory.base_names().size(), ImageMemory::k_most_bases);
  EXPECT_EQ(memory.base_names().front(), "base19");
}

}  // namespace
}  // namespace builder::build
