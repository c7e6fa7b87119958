#include "adapters/git/disk_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <utility>

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

/// A person's own folder, with what a stranger may have put into it.
class FolderTreeTest : public ::testing::Test {
 protected:
  FolderTreeTest() : folder_(*TempDir::make(::testing::TempDir(), "folder-")) {
    root_ = folder_.path() + "/tree";
    EXPECT_TRUE(make_directories(root_ + "/dir/.git"));
    std::ofstream(folder_.path() + "/secret") << "outside";
    write("file", "one");
    for (const auto& [target, name] :
         {std::pair("../secret", "escape"), std::pair("/etc/passwd", "absolute"),
          std::pair("dir", "inside"), std::pair("/proc/self/root", "magic"),
          std::pair("loop", "loop"), std::pair("..", "up")}) {
      EXPECT_EQ(::symlink(target, (root_ + "/" + name).c_str()), 0);
    }
    tree_ = *make_folder_tree(root_);
  }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(root_ + "/" + name) << content;
  }

  TempDir folder_;
  std::string root_;
  std::shared_ptr<const ports::SourceTree> tree_;
};

TEST_F(FolderTreeTest, LinksLeadNowhereButInside) {
  for (const char* path : {"escape", "absolute", "magic/etc/passwd", "up/secret", "loop",
                           "inside/../../secret", "../secret", "/etc/passwd"}) {
    const auto opened = tree_->open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().kind, ErrorKind::denied) << path;
  }
  EXPECT_FALSE(tree_->list("up"));
  EXPECT_FALSE(tree_->list("magic"));
  EXPECT_EQ(tree_->stat("escape")->type, FileType::symlink);
  EXPECT_TRUE(tree_->list("inside")->empty());
}

TEST_F(FolderTreeTest, AFolderThatBecameALinkBehindItsListingLeadsNowhere) {
  ASSERT_TRUE(tree_->list("dir"));
  ASSERT_TRUE(remove_tree(root_ + "/dir"));
  ASSERT_EQ(::symlink(folder_.path().c_str(), (root_ + "/dir").c_str()), 0);
  EXPECT_EQ(tree_->list("dir").error().kind, ErrorKind::denied);
  EXPECT_EQ(tree_->open("dir/secret").error().kind, ErrorKind::denied);
}

TEST_F(FolderTreeTest, MayItselfBeReachedByALink) {
  const std::string link = folder_.path() + "/link";
  ASSERT_EQ(::symlink(root_.c_str(), link.c_str()), 0);
  EXPECT_EQ(*read_file(**make_folder_tree(link), "file", 10), "one");
  EXPECT_FALSE(make_folder_tree(root_ + "/file"));
  EXPECT_EQ(make_folder_tree(root_ + "/none").error().kind, ErrorKind::not_found);
}

TEST_F(FolderTreeTest, WhatWasWrittenAgainHasAnotherTimeEvenIfItsOwnIsPutBack) {
  const auto before = *tree_->stat("file");
  EXPECT_EQ(tree_->stat("file")->modified, before.modified);
  struct stat status{};
  ASSERT_EQ(::stat((root_ + "/file").c_str(), &status), 0);
  EXPECT_EQ(*before.modified / 1'000'000'000, status.st_mtim.tv_sec);
  write("other", "two");
  ASSERT_EQ(::rename((root_ + "/other").c_str(), (root_ + "/file").c_str()), 0);
  const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root_ + "/file").c_str(), times.data(), 0), 0);
  const auto after = *tree_->stat("file");
  EXPECT_EQ(after.size, before.size);
  EXPECT_NE(after.modified, before.modified);
  EXPECT_EQ(*after.modified / 1'000'000'000, status.st_mtim.tv_sec);
}

TEST_F(FolderTreeTest, WhatIsRemovedWhileItIsReadIsNotThere) {
  ::unlink((root_ + "/file").c_str());
  EXPECT_EQ(tree_->stat("file").error().kind, ErrorKind::not_found);
  EXPECT_TRUE(tree_->list(""));
}

TEST_F(FolderTreeTest, IsOnlySoDeep) {
  std::string path = "dir";
  for (std::size_t level = 1; level < k_deepest_folder; ++level) {
    path += "/d";
  }
  ASSERT_TRUE(make_directories(root_ + "/" + path + "/d"));
  EXPECT_TRUE(tree_->list(path));
  EXPECT_EQ(tree_->list(path + "/d").error().kind, ErrorKind::invalid_input);
}

}  // namespace
}  // namespace builder::adapters::git
