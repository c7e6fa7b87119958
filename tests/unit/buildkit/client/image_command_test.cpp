#include "adapters/buildkit/client/image_command.hpp"

#include "base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace builder::adapters::buildkit {
namespace {

using testing::ElementsAre;

const ImageCommand k_command{.name = "sbom",
                             .image = {"r.test/tool@sha256:aa", "linux/amd64"},
                             .arguments = {"/scan", "a b"},
                             .environment = {"A=b"},
                             .folder = {},
                             .mounts = {{"/src", {"r.test/app@sha256:bb", "linux/arm64/v8"}}},
                             .result = "/out"};

std::map<std::string, pb::Op> ops_of(const pb::Definition& definition) {
  std::map<std::string, pb::Op> ops;
  for (const std::string& bytes : definition.def()) {
    EXPECT_TRUE(ops["sha256:" + sha256_hex(bytes)].ParseFromString(bytes));
  }
  return ops;
}

TEST(ImageCommand, SeesTheOtherImageWithoutNetworkAndCannotChangeIt) {
  const pb::Definition definition = definition_of(k_command, {});
  ASSERT_EQ(definition.def_size(), 4);
  const auto ops = ops_of(definition);
  pb::Op last;
  ASSERT_TRUE(last.ParseFromString(definition.def(3)));
  ASSERT_EQ(last.inputs_size(), 1);
  EXPECT_EQ(last.inputs(0).index(), 1) << "what is left in /out, not the tool's own files";
  const pb::Op& run = ops.at(last.inputs(0).digest());
  EXPECT_EQ(run.exec().network(), pb::NONE);
  EXPECT_THAT(run.exec().meta().args(), ElementsAre("/scan", "a b"));
  EXPECT_THAT(run.exec().meta().env(), ElementsAre("A=b"));
  EXPECT_EQ(run.exec().meta().cwd(), "/");
  ASSERT_EQ(run.inputs_size(), 2);
  EXPECT_EQ(ops.at(run.inputs(0).digest()).source().identifier(),
            "docker-image://r.test/tool@sha256:aa");
  const pb::Op& app = ops.at(run.inputs(1).digest());
  EXPECT_EQ(app.source().identifier(), "docker-image://r.test/app@sha256:bb");
  EXPECT_EQ(app.platform().os() + app.platform().architecture() + app.platform().variant(),
            "linuxarm64v8");
  std::map<std::string, pb::Mount> mounts;
  for (const pb::Mount& mount : run.exec().mounts()) {
    mounts[mount.dest()] = mount;
  }
  EXPECT_EQ(mounts.at("/").input(), 0);
  EXPECT_EQ(mounts.at("/tmp").mount_type(), pb::TMPFS);
  EXPECT_TRUE(mounts.at("/src").readonly());
  EXPECT_EQ(mounts.at("/src").input(), 1);
  EXPECT_EQ(mounts.at("/src").output(), -1);
  EXPECT_EQ(mounts.at("/out").input(), -1);
  EXPECT_EQ(mounts.at("/out").output(), 1);
}

TEST(ImageCommand, HasTheLimitsOfAStep) {
  const std::map<std::string, std::string> limits{
      {"memory", "1000"}, {"memswap", "1000"}, {"cgroup-parent", "/g"}, {"cpuquota", "5"}};
  const pb::Definition definition = definition_of(k_command, limits);
  pb::Op last;
  ASSERT_TRUE(last.ParseFromString(definition.def(3)));
  const std::string& run = last.inputs(0).digest();
  EXPECT_EQ(ops_of(definition).at(run).exec().meta().cgroup_parent(), "/g");
  const pb::OpMetadata& metadata = definition.metadata().at(run);
  EXPECT_EQ(metadata.linux_resources().memory(), 1000);
  EXPECT_EQ(metadata.linux_resources().memory_swap(), 1000);
  EXPECT_EQ(metadata.linux_resources().cpu_quota(), 5);
  EXPECT_EQ(metadata.description().at("llb.customname"), "[sbom] RUN /scan a b");
}

}  // namespace
}  // namespace builder::adapters::buildkit
