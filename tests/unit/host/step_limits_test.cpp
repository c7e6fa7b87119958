#include "adapters/host/step_limits.hpp"

#include "adapters/host/cgroup_tree.hpp"
#include "base/temp_dir.hpp"
#include "fakes/fake_steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

namespace builder::adapters::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

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

  void make_v2() const {
    put("cgroup.controllers", "cpu memory pids\n");
    put("cgroup.procs");
  }

  TempDir root_ = *TempDir::make("/tmp", "cgroups-");
};

constexpr const char* k_id = "abcdefghij0123456789klmno";

std::string named(const std::string& path) {
  return path + k_id;
}

TEST(StepGroup, IsKnownByItsNameWhereverTheEnginePutsIt) {
  EXPECT_TRUE(is_step_group(named("/buildkit/")));
  EXPECT_TRUE(is_step_group(named("/docker/buildkit/")));
  EXPECT_TRUE(is_step_group(named("/docker/0123/mine/buildkit/")));
  EXPECT_TRUE(is_step_group(named("/system.slice:docker:")));
  EXPECT_TRUE(is_step_group(named("/system.slice/docker-") + ".scope"));
  EXPECT_FALSE(is_step_group("/docker/" + std::string(64, 'a')));
  EXPECT_FALSE(is_step_group("/system.slice/docker-" + std::string(64, 'a') + ".scope"));
  EXPECT_FALSE(is_step_group(named("/elsewhere/")));
  EXPECT_FALSE(is_step_group("/buildkit"));
  EXPECT_FALSE(is_step_group("/buildkit/ABCDEFGHIJ0123456789KLMNO"));
  EXPECT_FALSE(is_step_group("/buildkit/short"));
}

TEST_F(FakeKernel, Version1IsOneTreeForEachController) {
  make_v1();
  const CgroupTree tree(root_.path());
  EXPECT_FALSE(tree.is_v2());
  EXPECT_EQ(tree.file("cpu", "/a", "cpu.shares"), path("cpu/a/cpu.shares"));
  std::filesystem::create_directories(path(named("memory/a/buildkit/")));
  EXPECT_THAT(tree.steps("memory"), ElementsAre(named("/a/buildkit/")));
  EXPECT_THAT(tree.steps("cpu"), IsEmpty());
}

TEST_F(FakeKernel, WithoutControlGroupsItIsSaid) {
  const auto limits = make_step_limits({.root = root_.path()}, fakes::null_log());
  ASSERT_FALSE(limits);
  EXPECT_THAT(limits.error().message, HasSubstr("no control groups for memory"));
}

TEST_F(FakeKernel, AContainersOwnViewOfVersion2IsNotTheEngines) {
  make_v2();
  put("cgroup.type", "domain\n");  // The real root has none.
  const auto limits = make_step_limits({.root = root_.path()}, fakes::null_log());
  ASSERT_FALSE(limits);
  EXPECT_THAT(limits.error().message, HasSubstr("in a container"));
}

/// Steps of two solves, on an engine that others use as well.
class CpuTime : public FakeKernel {
 protected:
  /// A group whose process was started with these arguments.
  void step(const std::string& group, const std::string& arguments, int microseconds) {
    const std::string process = std::to_string(++processes_);
    put("proc/" + process + "/cmdline", arguments);
    put(group.substr(1) + "/cgroup.procs", process + "\n");
    put(group.substr(1) + "/cpu.stat",
        "usage_usec " + std::to_string(microseconds) + "\nuser_usec 1\n");
  }

  static std::string shell(const std::string& text) {
    return std::string("/bin/sh\0-c\0", 11) + text + '\0';
  }

  [[nodiscard]] std::unique_ptr<ports::BuildLimits> make() const {
    make_v2();
    auto made =
        make_step_limits({.root = root_.path(), .processes = path("proc")}, fakes::null_log());
    EXPECT_TRUE(made) << made.error().message;
    return *std::move(made);
  }

  int processes_ = 0;
  const domain::DeploymentId one_{"d1"};
  const domain::DeploymentId other_{"d2"};
};

TEST_F(CpuTime, IsThatOfTheStepsThatRun) {
  const auto limits = make();
  EXPECT_EQ(limits->cpu_time(one_), std::nullopt);
  step("/buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa", shell("make all"), 7);
  step("/buildkit/bbbbbbbbbbbbbbbbbbbbbbbbb", std::string("npm\0ci\0", 7), 30);
  const auto one = limits->watch(one_);
  EXPECT_EQ(limits->cpu_time(one_), 0us) << "no command of it runs yet";
  one->step_started(1, "[1/2] FROM busybox");
  EXPECT_EQ(limits->cpu_time(one_), 0us);
  one->step_started(2, "[2/2] RUN --mount=type=cache,target=/x make all");
  const auto other = limits->watch(other_);
  other->step_started(1, "[2/2] RUN npm ci");
  EXPECT_EQ(limits->cpu_time(one_), 7us);
  EXPECT_EQ(limits->cpu_time(other_), 30us);
  one->step_ended(2);
  EXPECT_EQ(limits->cpu_time(one_), 0us);
}

TEST_F(CpuTime, OfACommandThatNobodyIsSeenToRunCountsForEachThatRunsOne) {
  const auto limits = make();
  step("/buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa", shell("cat\nmore"), 5);
  const auto one = limits->watch(one_);
  one->step_started(1, "[2/2] RUN <<EOF (cat...)");
  const auto other = limits->watch(other_);
  other->step_started(1, "[2/2] COPY . .");
  EXPECT_EQ(limits->cpu_time(one_), 5us);
  EXPECT_EQ(limits->cpu_time(other_), 0us);
  other->step_started(2, "[2/2] RUN [\"sleep\"]");
  EXPECT_EQ(limits->cpu_time(other_), 5us);
}

TEST_F(CpuTime, OfWhatAnotherWorkerRunsDoesNotCountForAStepThatIsSeen) {
  const auto limits = make();
  step("/buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa", shell("make"), 5);
  step("/buildkit/bbbbbbbbbbbbbbbbbbbbbbbbb", shell("sleep 1000"), 7);
  const auto one = limits->watch(one_);
  one->step_started(1, "[2/2] RUN sleep 1000");
  EXPECT_EQ(limits->cpu_time(one_), 7us);
  one->step_started(2, "[other 2/2] RUN <<EOF (cat...)");
  EXPECT_EQ(limits->cpu_time(one_), 12us) << "it may be this one";
  const auto other = limits->watch(other_);
  other->step_started(1, "[2/2] RUN make");
  EXPECT_EQ(limits->cpu_time(one_), 7us);
}

TEST_F(CpuTime, OfAGroupInWhichNothingRunsCountsForNobody) {
  const auto limits = make();
  step("/buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa", "", 5);
  put("buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa/cgroup.procs");
  const auto one = limits->watch(one_);
  one->step_started(1, "[2/2] RUN make");
  EXPECT_EQ(limits->cpu_time(one_), 0us);
}

TEST_F(CpuTime, OfWhatHasEndlessArgumentsIsToldAllTheSame) {
  const auto limits = make();
  step("/buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa", "", 5);
  std::filesystem::resize_file(path("proc/1/cmdline"), 64ULL << 30U);
  const auto one = limits->watch(one_);
  one->step_started(1, "[2/2] RUN [\"./endless\"]");
  EXPECT_EQ(limits->cpu_time(one_), 5us);
}

TEST_F(CpuTime, OfManyProcessesWithLongArgumentsIsToldAtOnce) {
  const auto limits = make();
  step("/buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa", shell("make"), 5);
  std::string processes = "1\n";
  for (int i = 0; i < 5'000; ++i) {
    // One file for all: how much is read counts.
    processes += "2\n";
  }
  put("proc/2/cmdline", std::string(200 << 10, 'x'));
  put("buildkit/aaaaaaaaaaaaaaaaaaaaaaaaa/cgroup.procs", processes);
  const auto one = limits->watch(one_);
  one->step_started(1, "[2/2] RUN make");
  EXPECT_EQ(limits->cpu_time(one_), 5us);
}

TEST_F(CpuTime, EndsWithTheSolve) {
  const auto limits = make();
  limits->watch(one_);
  EXPECT_EQ(limits->cpu_time(one_), std::nullopt);
}

/// On this machine's kernel.
class StepLimitsHere : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_step_limits({.limits = {.memory = 64u << 20, .cpus = 1.5, .pids = 10}},
                                 fakes::null_log());
    if (!made || tree_.is_v2()) {
      GTEST_SKIP() << "NO LIMITS ARE TESTED: "
                   << (made ? "control groups of version 2" : made.error().message);
    }
    limits_ = *std::move(made);
  }

  void TearDown() override {
    for (const char* controller : k_controllers) {
      for (const std::string& group :
           {named(parent_ + "/buildkit/"), parent_ + "/buildkit", parent_}) {
        ::rmdir((tree_.hierarchy(controller) + group).c_str());
      }
    }
  }

  /// As runc does for a step.
  void make_group() const {
    for (const char* controller : k_controllers) {
      std::filesystem::create_directories(tree_.hierarchy(controller) +
                                          named(parent_ + "/buildkit/"));
    }
  }

  [[nodiscard]] std::string value(const char* controller, const char* file) const {
    return read_control(tree_.file(controller, named(parent_ + "/buildkit/"), file));
  }

  static bool soon(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return condition();
  }

  static constexpr const char* k_controllers[] = {"memory", "cpu", "cpuacct", "pids"};
  const CgroupTree tree_{"/sys/fs/cgroup"};
  const std::string parent_ = "/step-limits-test-" + std::to_string(::getpid());
  std::unique_ptr<ports::BuildLimits> limits_;
};

TEST_F(StepLimitsHere, AreThereAsSoonAsTheGroup) {
  const auto solve = limits_->watch(domain::DeploymentId("d"));
  make_group();
  EXPECT_TRUE(soon([&] { return value("memory", "memory.limit_in_bytes") == "67108864\n"; }));
  EXPECT_TRUE(soon([&] { return value("cpu", "cpu.cfs_quota_us") == "150000\n"; }));
  EXPECT_TRUE(soon([&] { return value("pids", "pids.max") == "10\n"; }));
  EXPECT_EQ(solve->exhausted_memory(), std::nullopt);
}

TEST_F(StepLimitsHere, ALowerLimitOfAnotherWorkerStays) {
  CgroupLimits looser = default_limits();
  looser.cpus = 2.5;
  const auto other = make_step_limits({.limits = looser, .asked_for = false}, fakes::null_log());
  ASSERT_TRUE(other) << other.error().message;
  const auto solve = limits_->watch(domain::DeploymentId("d"));
  const auto beside = (*other)->watch(domain::DeploymentId("e"));
  make_group();
  ASSERT_TRUE(soon([&] { return value("pids", "pids.max") == "10\n"; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(value("pids", "pids.max"), "10\n");
  EXPECT_EQ(value("memory", "memory.limit_in_bytes"), "67108864\n");
  EXPECT_EQ(value("cpu", "cpu.cfs_quota_us"), "150000\n");
}

TEST_F(StepLimitsHere, AGroupThatGoesWasNotKilled) {
  const auto solve = limits_->watch(domain::DeploymentId("d"));
  make_group();
  EXPECT_TRUE(soon([&] { return value("memory", "memory.limit_in_bytes") == "67108864\n"; }));
  TearDown();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(solve->exhausted_memory(), std::nullopt);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_F(StepLimitsHere, CountTheTimeOfWhatRunsInTheGroup) {
  const domain::DeploymentId deployment("d");
  const auto solve = limits_->watch(deployment);
  make_group();
  solve->step_started(1, "[2/2] RUN true");
  // Steps of others on this machine could be the solve's, too.
  const auto before = *limits_->cpu_time(deployment);
  const std::string self = std::to_string(::getpid());
  ASSERT_TRUE(
      write_control(tree_.file("cpuacct", named(parent_ + "/buildkit/"), "cgroup.procs"), self));
  EXPECT_TRUE(soon([&] { return *limits_->cpu_time(deployment) > before; }));
  ASSERT_TRUE(write_control(tree_.file("cpuacct", "", "cgroup.procs"), self));
}

TEST(DefaultLimits, LeaveTheHostSomethingToLiveOn) {
  const CgroupLimits limits = default_limits();
  const auto total = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                     static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_LT(limits.memory, total);
  EXPECT_GE(limits.memory, total / 2 - (1U << 20U));
  EXPECT_EQ(limits.pids, 16'384);
  EXPECT_EQ(limits.cpus, 0) << "the kernel shares them";
}

}  // namespace
}  // namespace builder::adapters::host
