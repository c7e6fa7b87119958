#include "adapters/git/disk_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace builder::adapters::git {
namespace {

using ports::FileType;
using ::testing::ElementsAre;

class DiskTreeTest : public ::testing::Test {
 protected:
  DiskTreeTest() {
    TempDir folder = *TempDir::make(::testing::TempDir(), "tree-");
    path_ = folder.path();
    root_ = path_ + "/tree";
    std::ofstream(path_ + "/secret") << "outside";
    EXPECT_TRUE(make_directories(root_ + "/dir/.git"));
    EXPECT_TRUE(make_directories(root_ + "/.git"));
    std::ofstream(root_ + "/.git/config") << "x";
    std::ofstream(root_ + "/dir/file") << "content";
    std::ofstream(root_ + "/run.sh") << "#!";
    ::chmod((root_ + "/run.sh").c_str(), 0700);
    link("../secret", "escape");
    link("/etc/passwd", ".env");
    link("dir", "inside");
    link("/proc/self/root", "magic");
    link("loop", "loop");
    EXPECT_EQ(::mkfifo((root_ + "/pipe").c_str(), 0600), 0);
    tree_ = *make_disk_tree(std::move(folder), root_, {{"dir/file", ports::content_id("42")}});
  }

  void link(const std::string& target, const std::string& name) const {
    EXPECT_EQ(::symlink(target.c_str(), (root_ + "/" + name).c_str()), 0);
  }

  [[nodiscard]] std::vector<std::string> names(std::string_view path) const {
    std::vector<std::string> all;
    const auto entries = tree_->list(path);
    for (const auto& entry : *entries) {
      all.push_back(entry.name);
    }
    return all;
  }

  std::string path_;
  std::string root_;
  std::shared_ptr<const ports::SourceTree> tree_;
};

TEST_F(DiskTreeTest, WhatGitWroteAndOthersRemovedIsNoFileThatIsNotThere) {
  ::unlink((root_ + "/dir/file").c_str());
  for (const Error& error : {tree_->list("dir").error(), tree_->stat("dir/file").error(),
                             tree_->open("dir/file").error()}) {
    EXPECT_EQ(error.kind, ErrorKind::unavailable) << error.message;
  }
  EXPECT_EQ(tree_->stat("dir/other").error().kind, ErrorKind::not_found);
  EXPECT_TRUE(remove_tree(root_));
  EXPECT_EQ(tree_->list("").error().kind, ErrorKind::unavailable);
}

TEST_F(DiskTreeTest, ListsSortedWithoutGitFoldersAtAnyLevel) {
  EXPECT_THAT(names(""),
              ElementsAre(".env", "dir", "escape", "inside", "loop", "magic", "pipe", "run.sh"));
  EXPECT_THAT(names("dir"), ElementsAre("file"));
}

TEST_F(DiskTreeTest, HasNoGitFolder) {
  for (const char* path : {".git", ".git/config", "dir/.git", "inside/.git"}) {
    EXPECT_EQ(tree_->stat(path).error().kind, ErrorKind::not_found) << path;
    EXPECT_EQ(tree_->open(path).error().kind, ErrorKind::not_found) << path;
  }
}

TEST_F(DiskTreeTest, TellsTypesAndPermissionsAsGitKnowsThem) {
  EXPECT_EQ(tree_->stat("dir/file")->type, FileType::regular);
  EXPECT_EQ(tree_->stat("dir/file")->permissions, 0644U);
  EXPECT_EQ(tree_->stat("dir/file")->size, 7U);
  EXPECT_EQ(tree_->stat("run.sh")->permissions, 0755U);
  EXPECT_EQ(tree_->stat("")->type, FileType::directory);
  EXPECT_EQ(tree_->stat("escape")->type, FileType::symlink);
  EXPECT_EQ(tree_->stat("pipe")->type, FileType::other);
}

TEST_F(DiskTreeTest, TellsTheGivenIdentity) {
  EXPECT_EQ(tree_->stat("dir/file")->content, ports::content_id("42"));
  EXPECT_EQ(tree_->list("dir")->front().info.content, ports::content_id("42"));
}

TEST_F(DiskTreeTest, FollowsLinksThatStayInside) {
  EXPECT_EQ(*read_file(*tree_, "inside/file", 100), "content");
  EXPECT_THAT(names("inside"), ElementsAre("file"));
  EXPECT_EQ(*tree_->read_link("inside"), "dir");
}

TEST_F(DiskTreeTest, NeverLeavesTheTree) {
  for (const char* path : {"escape", ".env", "magic/etc/passwd", "../secret", "dir/../../secret",
                           "/etc/passwd", "loop"}) {
    const auto opened = tree_->open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().kind, ErrorKind::denied) << path << opened.error().message;
  }
  EXPECT_FALSE(tree_->list("magic"));
  EXPECT_EQ(*tree_->read_link(".env"), "/etc/passwd");
}

TEST_F(DiskTreeTest, OpensRegularFilesOnly) {
  for (const char* path : {"", "dir", "pipe"}) {
    const auto opened = tree_->open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().kind, ErrorKind::invalid_input) << path;
  }
  EXPECT_EQ(tree_->open("none").error().kind, ErrorKind::not_found);
  EXPECT_EQ(tree_->read_link("run.sh").error().kind, ErrorKind::invalid_input);
}

TEST_F(DiskTreeTest, IsRemovedWithTheLastReference) {
  auto other = tree_;
  tree_.reset();
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
  other.reset();
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
}

TEST_F(DiskTreeTest, KnowsPlainFolders) {
  EXPECT_TRUE(is_plain_folder(root_, "dir"));
  for (const char* path : {"inside", "magic", "run.sh", "none", "../x", "dir/../.."}) {
    EXPECT_FALSE(is_plain_folder(root_, path)) << path;
  }
}

}  // namespace
}  // namespace builder::adapters::git
