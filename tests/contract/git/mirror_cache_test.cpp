#include "adapters/git/mirror_cache.hpp"

#include "adapters/git/mirror.hpp"

#include "fixture.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

namespace builder::test {
namespace {

using adapters::git::sweep_mirrors;
using ::testing::ElementsAre;

constexpr std::uint64_t k_any = ~std::uint64_t{0};

class MirrorCache : public GitContract {
 protected:
  /// Fetches a repository and says that it was long ago; the mirror's folder.
  std::string mirror_of(const std::string& name, int seconds_ago) {
    const auto before = mirrors();
    make_repository(name);
    EXPECT_TRUE(fetch(spec(name)));
    for (const std::string& folder : mirrors()) {
      if (std::ranges::find(before, folder) == before.end()) {
        timespec times[2]{};
        times[0].tv_sec = times[1].tv_sec = ::time(nullptr) - seconds_ago;
        ::utimensat(AT_FDCWD, (folder + ".lock").c_str(), times, 0);
        return folder;
      }
    }
    return {};
  }

  [[nodiscard]] std::vector<std::string> mirrors() const {
    std::vector<std::string> folders;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(work_dir() + "/mirrors", error)) {
      if (entry.is_directory()) {
        folders.push_back(entry.path().string());
      }
    }
    return folders;
  }
};

TEST_F(MirrorCache, WithinItsBudgetNothingGoes) {
  mirror_of("a", 10);
  const auto swept = sweep_mirrors(work_dir(), k_any, 0, {});
  EXPECT_EQ(swept.removed, 0u);
  EXPECT_GT(swept.kept, 4096u);
}

TEST_F(MirrorCache, TheLongestUnusedGoFirst) {
  const std::string a = mirror_of("a", 300);
  const std::string b = mirror_of("b", 200);
  const std::string c = mirror_of("c", 100);
  ASSERT_TRUE(fetch(spec("a")));  // The oldest is used again.
  const std::uint64_t all = sweep_mirrors(work_dir(), k_any, 0, {}).kept;
  const auto swept = sweep_mirrors(work_dir(), all - 1, 0, {});
  EXPECT_EQ(swept.removed, 1u);
  EXPECT_EQ(swept.kept + swept.freed, all);
  EXPECT_THAT(mirrors(), testing::UnorderedElementsAre(a, c));
  EXPECT_EQ(sweep_mirrors(work_dir(), k_any, 1, {}).removed, 1u) << "the disk is short";
  EXPECT_THAT(mirrors(), ElementsAre(a));
  EXPECT_TRUE(fetch(spec("b"))) << "what is needed again is fetched again";
}

TEST_F(MirrorCache, WhatABuildReadsStays) {
  const std::string a = mirror_of("a", 300);
  {
    const auto fetched = fetch(spec("a"));
    ASSERT_TRUE(fetched);
    EXPECT_EQ(sweep_mirrors(work_dir(), 0, 0, {}).removed, 0u);
    EXPECT_EQ(read(*fetched, "file"), "one\n");
  }
  EXPECT_EQ(sweep_mirrors(work_dir(), 0, 0, {}).removed, 1u);
  EXPECT_TRUE(mirrors().empty());
}

}  // namespace
}  // namespace builder::test
