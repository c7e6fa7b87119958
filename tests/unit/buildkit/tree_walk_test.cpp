#include "adapters/buildkit/tree_walk.hpp"

#include "fakes/memory_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

using fakes::MemoryTree;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> walked(const MemoryTree& tree, const TreeFilter& filter) {
  std::vector<std::string> paths;
  const auto done = walk_tree(tree, filter, {}, [&paths](const fsutil::types::Stat& stat) {
    paths.push_back(stat.path());
    return true;
  });
  EXPECT_TRUE(done) << done.error().message;
  return paths;
}

TEST(TreeWalk, ListsFoldersBeforeTheirContentAndNamesBytewise) {
  MemoryTree tree;
  tree.add_file("a-b", "");
  tree.add_file("a/z", "");
  tree.add_file("a.txt", "");
  tree.add_file("B", "");
  tree.add_file("\u00e9", "");
  EXPECT_THAT(walked(tree, {}), ElementsAre("B", "a", "a/z", "a-b", "a.txt", "\u00e9"));
}

TEST(TreeWalk, SendsParentsOfIncludedEntriesOnly) {
  MemoryTree tree;
  tree.add_file("a/b/c", "");
  tree.add_file("a/d", "");
  tree.add_file("e/f", "");
  EXPECT_THAT(walked(tree, {.include = {"a/b/c"}, .exclude = {}, .follow = {}}),
              ElementsAre("a", "a/b", "a/b/c"));
}

TEST(TreeWalk, SendsAnExcludedFolderOnlyForAnException) {
  MemoryTree tree;
  tree.add_file("d/keep", "");
  tree.add_file("d/drop", "");
  tree.add_file("e/x", "");
  EXPECT_THAT(walked(tree, {.include = {}, .exclude = {"d", "!d/keep", "e"}, .follow = {}}),
              ElementsAre("d", "d/keep"));
}

TEST(TreeWalk, FollowsLinksNamedAsSources) {
  MemoryTree tree;
  tree.add_symlink("current", "releases/2");
  tree.add_file("releases/2/app", "");
  tree.add_file("releases/1/app", "");
  EXPECT_THAT(walked(tree, {.include = {}, .exclude = {}, .follow = {"current/app"}}),
              ElementsAre("current", "releases", "releases/2", "releases/2/app"));
  EXPECT_THAT(walked(tree, {.include = {}, .exclude = {}, .follow = {"cur*"}}),
              ElementsAre("current", "releases", "releases/2", "releases/2/app"));
}

TEST(TreeWalk, EndsOnLinkCyclesAndLinksOut) {
  MemoryTree tree;
  tree.add_symlink("a", "b");
  tree.add_symlink("b", "a");
  tree.add_symlink("out", "../../etc/passwd");
  tree.add_file("x", "");
  EXPECT_THAT(walked(tree, {.include = {}, .exclude = {}, .follow = {"a", "out", "none"}}),
              ElementsAre("a", "b", "out"));
}

TEST(TreeWalk, SendsEverythingWhenTheRootIsFollowed) {
  MemoryTree tree;
  tree.add_file("x", "");
  tree.add_file("y/z", "");
  EXPECT_THAT(walked(tree, {.include = {}, .exclude = {}, .follow = {"."}}),
              ElementsAre("x", "y", "y/z"));
}

TEST(TreeWalk, DescribesEntriesInGoModes) {
  MemoryTree tree;
  tree.add_directory("d");
  tree.add_file("f", "abc", 04755);
  tree.add_symlink("l", "../out");
  tree.add_other("socket");
  std::vector<fsutil::types::Stat> stats;
  ASSERT_TRUE(walk_tree(tree, {}, {}, [&stats](const fsutil::types::Stat& stat) {
    stats.push_back(stat);
    return true;
  }));
  ASSERT_EQ(stats.size(), 3U);
  EXPECT_EQ(stats[0].mode(), (1U << 31U) | 0755U);
  EXPECT_EQ(stats[0].size(), 0);
  EXPECT_EQ(stats[1].mode(), (1U << 23U) | 0755U);
  EXPECT_EQ(stats[1].size(), 3);
  EXPECT_EQ(stats[1].mod_time(), ports::content_time(ports::content_id("abc")));
  EXPECT_EQ(stats[2].mode(), (1U << 27U) | 0777U);
  EXPECT_EQ(stats[2].linkname(), "../out");
  EXPECT_EQ(stats[1].uid() + stats[1].gid(), 0U);
}

TEST(TreeWalk, EndsEarlyWhenTheReceiverLeft) {
  MemoryTree tree;
  tree.add_file("a/b", "");
  tree.add_file("c", "");
  int count = 0;
  EXPECT_TRUE(walk_tree(tree, {}, {}, [&count](const auto&) { return ++count < 2; }));
  EXPECT_EQ(count, 2);
}

TEST(TreeWalk, StopsWhileItMatchesAHostileList) {
  MemoryTree tree;
  for (int i = 0; i < 2000; ++i) {
    tree.add_file("d/" + std::string(150, 'a') + std::to_string(i), "");
  }
  TreeFilter filter;
  for (int i = 0; i < 10'000; ++i) {
    std::string line;
    for (int k = 0; k < 60; ++k) {
      line += "*a";
    }
    filter.exclude.push_back("d/" + line + "z" + std::to_string(i) + "*");
  }
  std::stop_source source;
  std::vector<std::string> sent;
  const auto begin = std::chrono::steady_clock::now();
  const std::jthread stopper([&source] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    source.request_stop();
  });
  const auto done = walk_tree(tree, filter, source.get_token(), [](const auto&) { return true; });
  EXPECT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(sent, IsEmpty());
}

}  // namespace

}  // namespace builder::adapters::buildkit
