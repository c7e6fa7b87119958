#include "base/temp_dir.hpp"

#include "base/fd.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>

namespace builder {
namespace {

bool exists(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

void write(const std::string& path, std::string_view text) {
  std::ofstream(path) << text;
}

TempDir make() {
  return *TempDir::make(::testing::TempDir(), "builder-");
}

TEST(TempDir, IsPrivateAndGoneWithTheObject) {
  std::string path;
  {
    const TempDir folder = make();
    path = folder.path();
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0700U);
    ASSERT_TRUE(make_directories(path + "/a/b/c"));
    write(path + "/a/b/c/file", "x");
  }
  EXPECT_FALSE(exists(path));
}

TEST(TempDir, MovesItsFolder) {
  std::string first;
  std::string second;
  {
    TempDir one = make();
    TempDir two = make();
    first = one.path();
    second = two.path();
    one = std::move(two);
    EXPECT_EQ(one.path(), second);
    const TempDir three = std::move(one);
    EXPECT_EQ(three.path(), second);
  }
  EXPECT_FALSE(exists(first));
  EXPECT_FALSE(exists(second));
}

TEST(TempDir, FailsWithoutAParent) {
  const auto folder = TempDir::make("/no/such/parent", "x");
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().kind, ErrorKind::not_found);
}

TEST(RemoveTree, FollowsNoLink) {
  const TempDir outside = make();
  write(outside.path() + "/kept", "x");
  {
    const TempDir folder = make();
    ASSERT_EQ(::symlink(outside.path().c_str(), (folder.path() + "/link").c_str()), 0);
  }
  EXPECT_TRUE(exists(outside.path() + "/kept"));
  const TempDir other = make();
  ASSERT_EQ(::symlink(outside.path().c_str(), (other.path() + "/link").c_str()), 0);
  EXPECT_FALSE(remove_tree(other.path() + "/link"));
  EXPECT_TRUE(exists(outside.path() + "/kept"));
}

TEST(RemoveTree, RemovesWhatItsOwnerMayNotWrite) {
  TempDir folder = make();
  ASSERT_TRUE(make_directories(folder.path() + "/closed/inner"));
  write(folder.path() + "/closed/file", "x");
  ::chmod((folder.path() + "/closed/inner").c_str(), 0);
  ::chmod((folder.path() + "/closed").c_str(), 0500);
  ASSERT_TRUE(remove_tree(folder.path()));
  EXPECT_FALSE(exists(folder.path()));
}

TEST(RemoveTree, IsFineWithNothing) {
  EXPECT_TRUE(remove_tree("/no/such/folder"));
}

TEST(RemoveTree, RemovesDeepTreesWithFewDescriptors) {
  const TempDir folder = make();
  const std::string top = folder.path() + "/deep";
  ASSERT_EQ(::mkdir(top.c_str(), 0700), 0);
  Fd at(::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int depth = 0; depth < 3'000; ++depth) {
    ASSERT_EQ(::mkdirat(at.get(), "d", 0700), 0);
    Fd file(::openat(at.get(), "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_TRUE(file);
    at.reset(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  at.reset();
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  const rlimit few{.rlim_cur = 64, .rlim_max = old.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  const auto removed = remove_tree(top);
  ::setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_TRUE(removed);
  EXPECT_FALSE(exists(top));
}

}  // namespace
}  // namespace builder
