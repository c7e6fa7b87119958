#include "adapters/oci/index.hpp"

#include "fakes/memory_registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::oci {
namespace {

using nlohmann::json;

constexpr const char* k_manifest = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* k_index = "application/vnd.oci.image.index.v1+json";

json pushed(char name, const char* type = k_manifest) {
  return {{"mediaType", type},
          {"digest", "sha256:" + std::string(64, name)},
          {"size", 7U},
          {"annotations", {{"x", "y"}}}};
}

class IndexTest : public testing::Test {
 protected:
  Result<Manifest> made(const std::vector<PlatformImage>& images) {
    return make_index(registry_, {.deployment_id = domain::DeploymentId("d"), .stop = {}},
                      {.host = "r.test", .repository = "a", .tag = {}, .digest = {}}, images);
  }

  fakes::MemoryRegistry registry_{false};
};

TEST_F(IndexTest, NamesEachImageWithItsPlatform) {
  const auto index = made({{"linux/x86_64", pushed('a')}, {"linux/arm", pushed('b')}});
  ASSERT_TRUE(index) << index.error().message;
  const json content = json::parse(index->bytes);
  EXPECT_EQ(content["mediaType"], k_index);
  EXPECT_EQ(content["manifests"],
            json::parse(R"([{"mediaType":")" + std::string(k_manifest) + R"(","size":7,"digest":)" +
                        json("sha256:" + std::string(64, 'a')).dump() +
                        R"(,"platform":{"architecture":"amd64","os":"linux"}},
                           {"mediaType":")" +
                        k_manifest + R"(","size":7,"digest":)" +
                        json("sha256:" + std::string(64, 'b')).dump() +
                        R"(,"platform":{"architecture":"arm","os":"linux","variant":"v7"}}])"));
  EXPECT_EQ(index->digest, "sha256:" + sha256_hex(index->bytes));
  EXPECT_EQ(made({{"linux/amd64", pushed('a')}, {"linux/arm/v7", pushed('b')}})->digest,
            index->digest);
}

TEST_F(IndexTest, TakesTheEntriesOfWhatIsAnIndexAlready) {
  const std::string inner = json{{"manifests", {{{"digest", "x"}}, {{"digest", "paper"}}}}}.dump();
  json descriptor = pushed('a', k_index);
  descriptor["digest"] = registry_.store(inner);
  const auto index = made({{"linux/amd64", descriptor}, {"linux/arm64", pushed('b')}});
  ASSERT_TRUE(index) << index.error().message;
  const json entries = json::parse(index->bytes)["manifests"];
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1]["digest"], "paper");
  EXPECT_EQ(entries[2]["platform"]["architecture"], "arm64");
}

TEST_F(IndexTest, WhatAnEngineDoesNotSayEndsIt) {
  json no_size = pushed('a');
  no_size.erase("size");
  json no_digest = pushed('a');
  no_digest["digest"] = "latest";
  json many = pushed('a', k_index);
  many["digest"] = registry_.store(json{{"manifests", std::vector<int>(65)}}.dump());
  json none = pushed('a', k_index);
  none["digest"] = registry_.store("{}");
  for (const json& descriptor : {json(), json("x"), no_size, no_digest, many, none}) {
    const auto index = made({{"linux/amd64", descriptor}});
    ASSERT_FALSE(index) << descriptor;
    EXPECT_EQ(index.error().kind, ErrorKind::internal);
  }
}

}  // namespace
}  // namespace builder::adapters::oci
