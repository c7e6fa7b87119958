#include "app/host/work_dir.hpp"

#include "base/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace builder::app {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WorkDirTest : public ::testing::Test {
 protected:
  [[nodiscard]] WorkDir open() const { return *WorkDir::open(path_, ""); }

  static std::string text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  [[nodiscard]] std::string dead_process(const std::string& name) const {
    std::string folder = path_ + "/processes/" + name;
    EXPECT_TRUE(make_directories(folder + "/builds/b-1"));
    std::ofstream(folder + "/lock") << "";
    std::ofstream(folder + "/leases") << name << "-lease\n";
    return folder;
  }

  static std::string own(const WorkDir& work) { return fs::path(work.builds()).parent_path(); }

  TempDir folder_ = *TempDir::make(::testing::TempDir(), "work-");
  std::string path_ = folder_.path() + "/work";
};

TEST_F(WorkDirTest, TellsWhatADeadProcessLeft) {
  const std::string dead = dead_process("dead");
  const WorkDir work = open();
  EXPECT_THAT(work.ended_leases(), ElementsAre("dead-lease"));
  EXPECT_FALSE(fs::exists(dead + "/builds"));
}

TEST_F(WorkDirTest, IsLeftAloneWhileItIsWhole) {
  WorkDir work = open();
  work.remember_lease("one");
  EXPECT_EQ(work.ensure(), false);
}

TEST_F(WorkDirTest, IsMadeAgainWithItsLeasesWhereverItWasEmptied) {
  WorkDir work = open();
  work.remember_lease("one");
  work.remember_lease("two");
  for (const std::string& removed : {path_, path_ + "/processes", own(work), own(work) + "/lock",
                                     own(work) + "/leases", path_ + "/lock", work.builds()}) {
    ASSERT_GT(fs::remove_all(removed), 0U) << removed;
    EXPECT_EQ(work.ensure(), true) << removed;
    EXPECT_TRUE(fs::is_directory(work.builds())) << removed;
    EXPECT_EQ(text(own(work) + "/leases"), "one\ntwo\n") << removed;
    EXPECT_EQ(work.ensure(), false) << removed;
    // Another process sees that it is not dead.
    EXPECT_THAT(open().ended_leases(), IsEmpty()) << removed;
  }
}

TEST_F(WorkDirTest, ALiveProcessIsNotTakenForADeadOneWhenItsLockFileIsGone) {
  WorkDir work = open();
  work.remember_lease("one");
  fs::create_directory(work.builds() + "/b-1");
  fs::remove(own(work) + "/lock");
  const WorkDir other = open();
  EXPECT_THAT(other.ended_leases(), IsEmpty());
  other.remove_orphans();
  EXPECT_TRUE(fs::exists(work.builds() + "/b-1"));
}

TEST_F(WorkDirTest, WhatCannotBeMadeAgainIsAnErrorThatPasses) {
  WorkDir work = open();
  fs::remove_all(path_);
  std::ofstream(path_) << "in the way";
  const auto ensured = work.ensure();
  ASSERT_FALSE(ensured);
  EXPECT_EQ(ensured.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(ensured.error().message, ::testing::StartsWith("WORK_DIR: "));
  fs::remove(path_);
  EXPECT_EQ(work.ensure(), true);
}

}  // namespace
}  // namespace builder::app
