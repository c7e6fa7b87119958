#include "adapters/buildkit/transfer/tree_walk.hpp"

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
  domain::MatchingBudget budget;
  const auto done = walk_tree(tree, filter, budget, {}, [&paths](const fsutil::types::Stat& stat) {
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
  domain::MatchingBudget budget;
  ASSERT_TRUE(walk_tree(tree, {}, budget, {}, [&stats](const fsutil::types::Stat& stat) {
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
  domain::MatchingBudget budget;
  EXPECT_TRUE(walk_tree(tree, {}, budget, {}, [&count](const auto&) { return ++count < 2; }));
  EXPECT_EQ(count, 2);
}

TEST(TreeWalk, EndsOnStop) {
  MemoryTree tree;
  tree.add_file("d/a", "");
  tree.add_file("d/b", "");
  std::stop_source source;
  domain::MatchingBudget budget;
  std::vector<std::string> sent;
  const auto done = walk_tree(tree, {.exclude = {"*.x"}}, budget, source.get_token(),
                              [&](const fsutil::types::Stat& stat) {
                                sent.push_back(stat.path());
                                return stat.path() != "d/a" || source.request_stop();
                              });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::cancelled);
  EXPECT_THAT(sent, ElementsAre("d", "d/a"));
}

// Subsequences of a long name: whatever was read, most of the patterns may still match.
TEST(TreeWalk, EndsWhenThePatternsCostTooMuch) {
  MemoryTree tree;
  for (int i = 0; i < 50; ++i) {
    tree.add_file("d/" + std::string(100, 'a') + std::string(100, 'b') + std::to_string(i), "");
  }
  TreeFilter filter;
  for (unsigned bits = 0; bits < 1U << 10U; ++bits) {
    std::string line = "**/";
    for (unsigned bit = 0; bit < 10; ++bit) {
      line += (bits >> bit & 1U) != 0 ? "*a" : "*b";
    }
    filter.exclude.push_back(line + "*z");
  }
  domain::MatchingBudget enough;
  EXPECT_TRUE(walk_tree(tree, filter, enough, {}, [](const auto&) { return true; }));
  domain::MatchingBudget less(enough.spent() - 1);
  const auto done = walk_tree(tree, filter, less, {}, [](const auto&) { return true; });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::invalid_input);
  EXPECT_EQ(done.error().customer,
            "The patterns of .dockerignore, COPY and ADD take too long on that many files; please "
            "write fewer or simpler ones, or name folders");
}

}  // namespace

}  // namespace builder::adapters::buildkit
