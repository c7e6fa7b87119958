#include "adapters/host/build_cgroups.hpp"

#include "adapters/host/cgroup_tree.hpp"
#include "base/temp_dir.hpp"
#include "fakes/fake_steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace builder::adapters::host {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

/// Folders that look like the kernel's.
class FakeKernel : public testing::Test {
 protected:
  void put(const std::string& path, const std::string& text = "") const {
    const std::filesystem::path file = root_.path() + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  [[nodiscard]] std::string path(const std::string& name) const {
    return root_.path() + "/" + name;
  }

  void make_v1() const {
    for (const char* controller : {"memory", "cpu", "cpuacct", "pids", "devices"}) {
      put(std::string(controller) + "/cgroup.procs");
    }
    put("unified/cgroup.procs");
    put("unified/cgroup.controllers", "hugetlb\n");
  }

  TempDir root_ = *TempDir::make("/tmp", "cgroups-");
};

TEST_F(FakeKernel, Version1IsOneTreeForEachController) {
  make_v1();
  const CgroupTree tree(root_.path());
  EXPECT_FALSE(tree.is_v2());
  ASSERT_TRUE(tree.make("/a/b"));
  EXPECT_TRUE(std::filesystem::is_directory(path("memory/a/b")));
  EXPECT_TRUE(std::filesystem::is_directory(path("pids/a/b")));
  EXPECT_FALSE(std::filesystem::exists(path("unified/a")));
  std::filesystem::create_directories(path("unified/a/b/buildkit"));
  EXPECT_EQ(tree.file("cpu", "/a", "cpu.shares"), path("cpu/a/cpu.shares"));
  EXPECT_THAT(tree.below("/a"), UnorderedElementsAre("b"));
  // The engine makes the group in the others, and leaves it there.
  std::filesystem::create_directories(path("devices/a/b/buildkit/x"));
  EXPECT_TRUE(tree.remove("/a"));
  EXPECT_FALSE(std::filesystem::exists(path("memory/a")));
  EXPECT_FALSE(std::filesystem::exists(path("devices/a")));
  EXPECT_FALSE(std::filesystem::exists(path("unified/a")));
}

TEST_F(FakeKernel, Version2IsOneTreeThatHasToBeDelegated) {
  put("cgroup.controllers", "cpu memory pids\n");
  put("cgroup.procs");
  put("a/cgroup.subtree_control");
  const CgroupTree tree(root_.path());
  EXPECT_TRUE(tree.is_v2());
  ASSERT_TRUE(tree.make("/a/b"));
  EXPECT_EQ(tree.file("memory", "/a/b", "memory.max"), path("a/b/memory.max"));
  ASSERT_TRUE(tree.delegate("/a"));
  EXPECT_EQ(read_control(path("a/cgroup.subtree_control")), "+memory +cpu +pids");
}

TEST_F(FakeKernel, WithoutControlGroupsItIsSaid) {
  const auto groups =
      make_build_cgroups({.root = root_.path(), .limits = {.pids = 1}}, fakes::null_log());
  ASSERT_FALSE(groups);
  EXPECT_THAT(groups.error().message, HasSubstr("no control groups for memory"));
}

TEST_F(FakeKernel, AContainersOwnViewOfVersion2IsNotTheEngines) {
  put("cgroup.controllers", "cpu memory pids\n");
  put("cgroup.procs");
  put("cgroup.type", "domain\n");  // The real root has none.
  const auto groups =
      make_build_cgroups({.root = root_.path(), .limits = {.pids = 1}}, fakes::null_log());
  ASSERT_FALSE(groups);
  EXPECT_THAT(groups.error().message, HasSubstr("BUILD_CGROUP_PARENT"));
}

TEST(BuildCgroups, AFixedGroupIsPassedOnAndCountsNothing) {
  const auto groups = make_fixed_cgroup("/mine");
  EXPECT_EQ(groups->open(domain::DeploymentId("d"))->cgroup_parent(), "/mine");
  EXPECT_EQ(groups->cpu_time(domain::DeploymentId("d")), std::nullopt);
}

/// On this machine's kernel.
TEST(BuildCgroups, CountTheTimeOfWhatRunsInThem) {
  auto made = make_build_cgroups(
      {.own_group = own_cgroup(), .limits = {.memory = 64u << 20, .cpus = 1.5, .pids = 10}},
      fakes::null_log());
  if (!made) {
    GTEST_SKIP() << "NO LIMITS ARE TESTED: " << made.error().message;
  }
  const auto& groups = *made;
  const domain::DeploymentId deployment("d1");
  EXPECT_EQ(groups->cpu_time(deployment), std::nullopt);
  const CgroupTree tree("/sys/fs/cgroup");
  std::string group;
  {
    const auto room = groups->open(deployment);
    ASSERT_NE(room, nullptr);
    group = room->cgroup_parent();
    EXPECT_EQ(room->exhausted_memory(), std::nullopt);
    if (!tree.is_v2()) {
      EXPECT_EQ(read_control(tree.file("memory", group, "memory.limit_in_bytes")), "67108864\n");
      EXPECT_EQ(read_control(tree.file("cpu", group, "cpu.cfs_quota_us")), "150000\n");
    }
    EXPECT_EQ(read_control(tree.file("pids", group, "pids.max")), "10\n");
    EXPECT_EQ(groups->cpu_time(deployment)->count(), 0);
    if (!tree.is_v2()) {
      const std::string self = std::to_string(::getpid());
      ASSERT_TRUE(write_control(tree.file("cpuacct", group, "cgroup.procs"), self));
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (groups->cpu_time(deployment)->count() == 0 &&
             std::chrono::steady_clock::now() < until) {
      }
      EXPECT_GT(groups->cpu_time(deployment)->count(), 0);
      ASSERT_TRUE(write_control(tree.file("cpuacct", "", "cgroup.procs"), self));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(tree.folder(group)));
  EXPECT_EQ(groups->cpu_time(deployment), std::nullopt);
}

}  // namespace
}  // namespace builder::adapters::host
