#include "adapters/cnb/images.hpp"

#include "fakes/memory_registry.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace builder::adapters::cnb {
namespace {

using nlohmann::json;

class ImagesTest : public testing::Test {
 protected:
  std::string store(const json& config, const std::string& tag = {}) {
    const std::string digest = "sha256:" + sha256_hex(config.dump());
    registry_.blobs[digest] = config.dump();
    return registry_.store(json{{"config", {{"digest", digest}}}}.dump(), tag);
  }

  std::string previous(const std::string& platform) {
    const auto found = images_.previous(job_, {"r.test/a"}, platform);
    EXPECT_TRUE(found) << found.error().message;
    return found.value_or("");
  }

  const ports::JobContext job_{
      .deployment_id = domain::DeploymentId("d"),
      .stop = {},
      .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1)};
  fakes::MemoryRegistry registry_{false};
  Images images_{registry_};
};

TEST_F(ImagesTest, TheLastImageIsOfTheSameMachine) {
  EXPECT_EQ(previous("linux/amd64"), "");
  const std::string plain = store({{"os", "linux"}, {"architecture", "amd64"}}, "latest");
  EXPECT_EQ(previous("linux/amd64"), "r.test/a@" + plain);
  EXPECT_EQ(previous("linux/arm64"), "") << "its layers are of no use there";
  const std::string silent = store(json::object(), "latest");
  EXPECT_EQ(previous("linux/arm64"), "r.test/a@" + silent);
}

TEST_F(ImagesTest, OfAnIndexItIsTheEntry) {
  const std::string arm64 = store({{"os", "linux"}, {"architecture", "amd64"}});
  registry_.store(
      json{{"manifests",
            {{{"digest", arm64}, {"platform", {{"os", "linux"}, {"architecture", "arm64"}}}}}}}
          .dump(),
      "latest");
  EXPECT_EQ(previous("linux/arm64"), "r.test/a@" + arm64) << "the index is believed";
  EXPECT_EQ(previous("linux/amd64"), "");
}

}  // namespace
}  // namespace builder::adapters::cnb
