#include "adapters/buildkit/client/engine_info.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::buildkit {
namespace {

using domain::Version;
using testing::HasSubstr;
using testing::IsEmpty;

const EngineInfo k_old = docker_engine_info("20.10.24+dfsg1", "1.41", {});

EngineInfo buildkitd(const std::string& version) {
  return buildkitd_info({.version = version, .labels = {}, .platform = {}});
}

const EngineInfo k_recent = buildkitd("v0.34.2");

TEST(EngineInfo, SaysWhetherStepsShareTheNetworkOfTheDaemon) {
  const auto with = [](std::map<std::string, std::string> labels) {
    return BuildkitDescription{
        .version = "v0.34.2", .labels = std::move(labels), .platform = "linux/amd64"};
  };
  EXPECT_TRUE(buildkitd_info(with({{std::string(k_network), "host"}})).shares_network);
  EXPECT_FALSE(buildkitd_info(with({{std::string(k_network), "cni"}})).shares_network);
  EXPECT_TRUE(buildkitd_info(with({})).shares_network) << "what is not known is not isolated";
  // An Engine gives its steps a bridge, and says nothing.
  EXPECT_FALSE(docker_engine_info("29.0.0", "1.52", with({})).shares_network);
}

TEST(EngineInfo, KnowsWhoRecordsDownloads) {
  EXPECT_TRUE(k_recent.records_downloads);
  EXPECT_TRUE(buildkitd("v0.31.0").records_downloads);
  EXPECT_FALSE(buildkitd("v0.30.1").records_downloads);
  EXPECT_FALSE(buildkitd("v0.0.0+unknown").records_downloads);
  EXPECT_FALSE(docker_engine_info("29.0.0", "1.52", {.version = "v0.34.2"}).records_downloads)
      << "a container of its own would have to be its proxy";
}

TEST(EngineInfo, KnowsWhatItsStepsCanRunOn) {
  BuildkitDescription buildkit{.version = "v0.16.0"};
  EXPECT_TRUE(runs_platform(buildkitd_info(buildkit), "linux/s390x")) << "nothing is known";
  buildkit.platforms = {"linux/amd64", "linux/arm"};
  for (const auto& engine :
       {buildkitd_info(buildkit), docker_engine_info("29.0.0", "1.52", buildkit)}) {
    EXPECT_TRUE(runs_platform(engine, "linux/x86_64"));
    EXPECT_TRUE(runs_platform(engine, "linux/arm/v7"));
    EXPECT_FALSE(runs_platform(engine, "linux/arm64"));
  }
}

TEST(EngineInfo, KnowsWhoseProgressGoesAstray) {
  EXPECT_TRUE(status_goes_astray(k_old));
  EXPECT_FALSE(status_goes_astray(k_recent));
}

TEST(EngineInfo, AnEngineHasTheBuildkitOfItsLine) {
  EXPECT_EQ(k_old.buildkit, (Version{0, 8}));
  EXPECT_EQ(k_old.name, "Docker Engine 20.10.24+dfsg1 (API 1.41)");
  EXPECT_EQ(docker_engine_info("23.0.1", "", {}).buildkit, (Version{0, 10}));
  // Fail closed: what is not known may be the oldest.
  EXPECT_EQ(docker_engine_info("master-dev", "", {}).buildkit, (Version{0, 6}));
}

TEST(EngineInfo, AnEnginesBuildkitIsTheOneItNames) {
  const auto engine = docker_engine_info("28.2.2", "1.50", {.version = "v0.22.0", .labels = {}});
  EXPECT_EQ(engine.buildkit, (Version{0, 22, 0}));
  EXPECT_EQ(engine.name, "Docker Engine 28.2.2 (API 1.50, BuildKit v0.22.0)");
  EXPECT_FALSE(engine.exports_to_registry);
}

TEST(EngineInfo, KnowsWhatExportsToARegistry) {
  const std::map<std::string, std::string> labels{{std::string(k_snapshotter), "overlayfs"}};
  EXPECT_TRUE(buildkitd("v0.34.2").exports_to_registry);
  const auto engine = docker_engine_info("29.3", "1.54", {.version = "v0.34.1", .labels = labels});
  EXPECT_TRUE(engine.exports_to_registry);
  EXPECT_TRUE(engine.name.ends_with(", containerd image store)")) << engine.name;
  EXPECT_TRUE(names_foreign_bases(engine));
  // The containerd store of a BuildKit without source policies.
  EXPECT_FALSE(
      docker_engine_info("23.0", "1.42", {.version = {}, .labels = labels}).exports_to_registry);
}

TEST(EngineInfo, ADaemonThatDoesNotKnowItsVersionCountsAsTheOldestThatNamesOne) {
  const auto engine = buildkitd("v0.0.0+unknown");
  EXPECT_EQ(engine.buildkit, (Version{0, 11}));
  EXPECT_FALSE(knows_attribute(engine, "memory"));
  EXPECT_FALSE(names_foreign_bases(engine));
  EXPECT_TRUE(has_source_policies(engine)) << "as old as the name of the version itself";
}

TEST(EngineInfo, NamesWhatItIsMadeOf) {
  using domain::Component;
  EXPECT_THAT(k_old.components, testing::ElementsAre(Component{"Docker Engine", "20.10.24+dfsg1"},
                                                     Component{"BuildKit", "0.8"}));
  EXPECT_THAT(k_recent.components, testing::ElementsAre(Component{"BuildKit", "v0.34.2"}));
}

TEST(EngineInfo, KeepsThePlatformItBuildsFor) {
  const auto engine = docker_engine_info("20.10.24", "1.41",
                                         {.version = {}, .labels = {}, .platform = "linux/arm64"});
  EXPECT_EQ(engine.platform, "linux/arm64");
  EXPECT_FALSE(names_foreign_bases(engine));
}

TEST(EngineInfo, TellsWhatIsMissing) {
  EXPECT_THAT(missing_features(k_old), testing::SizeIs(6));
  EXPECT_THAT(missing_features(k_old).front(), HasSubstr("heredocs"));
  EXPECT_THAT(missing_features(k_recent), IsEmpty());
}

TEST(EngineInfo, KnowsWhichAttributesAreIgnored) {
  for (const char* attribute : {"ulimit", "shm-size", "cgroup-parent", "memory",
                                "attest:provenance", "build-arg:SOURCE_DATE_EPOCH"}) {
    EXPECT_FALSE(knows_attribute(k_old, attribute)) << attribute;
    EXPECT_TRUE(knows_attribute(k_recent, attribute)) << attribute;
  }
  for (const char* attribute : {"build-arg:X", "target", "no-cache", "label:a", "add-hosts"}) {
    EXPECT_TRUE(knows_attribute(k_old, attribute)) << attribute;
  }
}

TEST(EngineInfo, WhatItNamesFirstIsItsMachine) {
  const EngineInfo amd64{.platforms = {"linux/amd64", "linux/386", "linux/arm64"}};
  EXPECT_TRUE(is_native(amd64, "linux/x86_64"));
  EXPECT_TRUE(is_native(amd64, "linux/386"));
  EXPECT_FALSE(is_native(amd64, "linux/arm64"));
  EXPECT_TRUE(runs_platform(amd64, "linux/arm64"));
  EXPECT_FALSE(is_native({.platforms = {"linux/arm64"}}, "linux/386"));
  EXPECT_TRUE(is_native({}, "linux/arm64")) << "not known";
}

}  // namespace
}  // namespace builder::adapters::buildkit
