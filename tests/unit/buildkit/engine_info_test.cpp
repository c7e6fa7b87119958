#include "adapters/buildkit/engine_info.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::buildkit {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const EngineInfo k_old = docker_engine_info("20.10.24+dfsg1", "1.41", {});
const EngineInfo k_recent = buildkitd_info("v0.34.2");

TEST(EngineInfo, KnowsWhoseProgressGoesAstray) {
  EXPECT_TRUE(status_goes_astray(k_old));
  EXPECT_FALSE(status_goes_astray(k_recent));
}

TEST(EngineInfo, ReadsVersions) {
  EXPECT_EQ(parse_version("v0.34.2"), (BuildkitVersion{0, 34}));
  EXPECT_EQ(parse_version("20.10.24+dfsg1"), (BuildkitVersion{20, 10}));
  for (const char* none : {"", "v", "v0.0.0+unknown", "dev", "1", "1.", "1.x"}) {
    EXPECT_FALSE(parse_version(none)) << none;
  }
}

TEST(EngineInfo, AnEngineHasTheBuildkitOfItsLine) {
  EXPECT_EQ(k_old.buildkit, (BuildkitVersion{0, 8}));
  EXPECT_EQ(k_old.name, "Docker Engine 20.10.24+dfsg1 (API 1.41)");
  EXPECT_EQ(docker_engine_info("23.0.1", "", {}).buildkit, (BuildkitVersion{0, 10}));
  EXPECT_EQ(docker_engine_info("master-dev", "", {}).buildkit, std::nullopt);
}

TEST(EngineInfo, AnEnginesBuildkitIsTheOneItNames) {
  const auto engine = docker_engine_info("28.2.2", "1.50", {.version = "v0.22.0", .labels = {}});
  EXPECT_EQ(engine.buildkit, (BuildkitVersion{0, 22}));
  EXPECT_EQ(engine.name, "Docker Engine 28.2.2 (API 1.50, BuildKit v0.22.0)");
  EXPECT_FALSE(engine.exports_to_registry);
}

TEST(EngineInfo, KnowsWhatExportsToARegistry) {
  const std::map<std::string, std::string> labels{{std::string(k_snapshotter), "overlayfs"}};
  EXPECT_TRUE(buildkitd_info("v0.34.2").exports_to_registry);
  const auto engine = docker_engine_info("29.3", "1.54", {.version = "v0.34.1", .labels = labels});
  EXPECT_TRUE(engine.exports_to_registry);
  EXPECT_TRUE(engine.name.ends_with(", containerd image store)")) << engine.name;
  EXPECT_TRUE(names_foreign_bases(engine));
  // The containerd store of a BuildKit without source policies.
  EXPECT_FALSE(
      docker_engine_info("23.0", "1.42", {.version = {}, .labels = labels}).exports_to_registry);
}

TEST(EngineInfo, ADaemonBuiltAsAModuleCountsAsRecent) {
  EXPECT_EQ(buildkitd_info("v0.0.0+unknown").buildkit, std::nullopt);
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
  EXPECT_THAT(missing_features(buildkitd_info("v0.0.0+unknown")), IsEmpty());
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

}  // namespace
}  // namespace builder::adapters::buildkit
