#include "adapters/oci/referrers.hpp"

#include "fakes/memory_registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace builder::adapters::oci {
namespace {

using fakes::MemoryRegistry;
using nlohmann::json;
using testing::ElementsAre;

class ReferrersTest : public testing::TestWithParam<bool> {
 protected:
  Result<> attach_one(const std::string& content) {
    return attach(registry, job, subject,
                  {{.type = "application/x",
                    .media_type = "application/y",
                    .content = content,
                    .annotations = {{"about", content}}}});
  }

  std::vector<std::string> abouts() {
    std::vector<std::string> all;
    const auto found = find_referrers(registry, job, subject);
    EXPECT_TRUE(found);
    for (const Referrer& one : *found) {
      EXPECT_EQ(one.type, "application/x");
      EXPECT_EQ(json::parse(registry.manifests.at(one.digest).bytes)["subject"]["digest"],
                subject.digest);
      all.push_back(one.annotations.at("about"));
    }
    std::ranges::sort(all);
    return all;
  }

  MemoryRegistry registry{GetParam()};
  ports::JobContext job{.deployment_id = domain::DeploymentId("d"), .stop = {}};
  Reference subject{.host = "registry.example.com",
                    .repository = "deployra/s",
                    .tag = {},
                    .digest = registry.store(R"({"the":"image"})")};
};

INSTANTIATE_TEST_SUITE_P(Registries, ReferrersTest, testing::Bool(), [](const auto& with_lists) {
  return with_lists.param ? "WithLists" : "WithoutLists";
});

TEST_P(ReferrersTest, AnArtifactRefersToItsImage) {
  EXPECT_THAT(abouts(), ElementsAre());
  ASSERT_TRUE(attach_one("a"));
  ASSERT_TRUE(attach_one("b"));
  EXPECT_THAT(abouts(), ElementsAre("a", "b"));
  EXPECT_EQ(registry.tags.size(), GetParam() ? 0u : 1u);

  const auto found = find_referrers(registry, job, subject);
  const auto manifest = json::parse(registry.manifests.at(found->front().digest).bytes);
  EXPECT_EQ(manifest["subject"]["size"], 15);
  EXPECT_EQ(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
  EXPECT_EQ(registry.blobs.at(manifest["config"]["digest"]), "{}");
  EXPECT_EQ(manifest["layers"][0]["mediaType"], "application/y");
  EXPECT_EQ(registry.blobs.at(manifest["layers"][0]["digest"]),
            found->front().annotations.at("about"));
}

TEST_P(ReferrersTest, TheSameAgainChangesNothing) {
  ASSERT_TRUE(attach_one("a"));
  const auto before = registry.tags;
  ASSERT_TRUE(attach_one("a"));
  EXPECT_THAT(abouts(), ElementsAre("a"));
  EXPECT_EQ(registry.tags, before);
}

TEST_P(ReferrersTest, WhatIsRefusedIsAnError) {
  registry.refusal = Error{.kind = ErrorKind::denied, .message = "no"};
  EXPECT_EQ(attach_one("a").error().kind, ErrorKind::denied);
  subject.digest = "sha256:" + std::string(64, '0');
  registry.refusal.reset();
  EXPECT_EQ(attach_one("a").error().kind, ErrorKind::not_found);
}

const std::string k_theirs = "sha256:" + std::string(64, 'e');

TEST(ReferrersIndex, KeepsWhatOthersWroteAtTheSameMoment) {
  MemoryRegistry registry(false);
  const Reference subject{.host = "registry.example.com",
                          .repository = "deployra/s",
                          .tag = {},
                          .digest = registry.store("{}")};
  const std::string tag = referrers_tag(subject.digest);
  EXPECT_EQ(tag, "sha256-" + sha256_hex("{}"));
  // They had read the index before ours was in it.
  const std::string theirs =
      json{{"schemaVersion", 2}, {"manifests", json::array({{{"digest", k_theirs}}})}}.dump();
  registry.after_index = [&] { registry.store(theirs, tag); };
  const ports::JobContext job{.deployment_id = domain::DeploymentId("d"), .stop = {}};
  ASSERT_TRUE(attach(registry, job, subject,
                     {{.type = "t", .media_type = "m", .content = "c", .annotations = {}}}));
  const auto found = find_referrers(registry, job, subject);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ(found->front().digest, k_theirs);
  EXPECT_EQ(found->back().type, "t");
}

TEST(ReferrersIndex, LeavesAloneWhatIsNone) {
  const json entries = json::array({{{"digest", "sha256:a"}}});
  for (const std::string_view other : {"{}", "nonsense", R"({"manifests":{}})", "[]"}) {
    EXPECT_EQ(with_entries(other, entries).error().kind, ErrorKind::conflict) << other;
  }
  const std::string strange = R"({"manifests":[1,{"digest":2},{}]})";
  EXPECT_EQ(json::parse(*with_entries(strange, entries))["manifests"].size(), 4u);
}

TEST(ReferrersIndex, HasALimit) {
  auto many = json::array();
  for (int i = 0; i < 1'001; ++i) {
    many.push_back({{"digest", std::to_string(i)}});
  }
  EXPECT_EQ(with_entries("", many).error().kind, ErrorKind::internal);
  many.erase(many.begin());
  EXPECT_TRUE(with_entries("", many));
}

}  // namespace
}  // namespace builder::adapters::oci
