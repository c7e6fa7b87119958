#include "build/file_times.hpp"

#include "base/text.hpp"
#include "fakes/memory_tree.hpp"
#include "ports/overlay_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace builder::build {
namespace {

using fakes::MemoryTree;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr KeyedHash::Key k_key{1, 2, 3};
constexpr std::int64_t k_second = 1'000'000'000;
constexpr std::int64_t k_commit = 1'750'000'000;

using Files = std::map<std::string, std::string>;

std::shared_ptr<MemoryTree> tree_of(const Files& files) {
  auto tree = std::make_shared<MemoryTree>();
  for (const auto& [path, content] : files) {
    tree->add_file(path, content);
  }
  return tree;
}

/// The deployments of one service, one after the other.
class FileTimes : public ::testing::Test {
 protected:
  TimedTree deploy(std::shared_ptr<const ports::SourceTree> tree, std::int64_t commit_time,
                   std::string_view way = "") {
    auto timed =
        give_times(std::move(tree), way, sys_seconds(seconds(commit_time)), k_key, record_);
    EXPECT_TRUE(timed);
    record_ = timed->record;
    return *std::move(timed);
  }

  TimedTree deploy(const Files& files, std::int64_t commit_time, std::string_view way = "") {
    return deploy(tree_of(files), commit_time, way);
  }

  static std::int64_t time(const TimedTree& timed, std::string_view path) {
    return timed.tree->stat(path)->modified.value();
  }

  static std::int64_t second(const TimedTree& timed, std::string_view path) {
    return time(timed, path) / k_second;
  }

  std::string record_;
};

TEST_F(FileTimes, AreThoseOfTheCommitAtFirst) {
  const auto timed = deploy({{"a", "1"}, {"d/b", "2"}}, k_commit);
  EXPECT_EQ(second(timed, "a"), k_commit);
  for (const char* path : {"d/b", "d", ""}) {
    EXPECT_EQ(time(timed, path), time(timed, "a")) << "equal to the nanosecond: " << path;
  }
  EXPECT_EQ(timed.tree->list("d")->front().info.modified, time(timed, "a"));
  EXPECT_EQ(timed.files, 2U);
  EXPECT_EQ(timed.changed, 2U);
}

TEST_F(FileTimes, AreTheSameForTheSameFiles) {
  const auto first = deploy({{"a", "1"}, {"d/b", "2"}}, k_commit);
  const auto again = deploy({{"a", "1"}, {"d/b", "2"}}, k_commit + 100);
  EXPECT_EQ(time(again, "a"), time(first, "a"));
  EXPECT_EQ(again.record, first.record);
  EXPECT_EQ(again.changed, 0U);
  record_.clear();
  EXPECT_EQ(time(deploy({{"a", "1"}, {"d/b", "2"}}, k_commit), "a"), time(first, "a"))
      << "without the record too";
}

TEST_F(FileTimes, ChangeWithContentModeAndTarget) {
  const auto make = [](const std::string& content, std::uint32_t mode, const std::string& target) {
    auto tree = tree_of({{"same", "1"}, {"d/content", content}});
    tree->add_file("mode", "#!", mode);
    tree->add_symlink("link", target);
    return tree;
  };
  const auto first = deploy(make("old", 0644, "same"), k_commit);
  const auto second_time = deploy(make("new", 0755, "mode"), k_commit + 50);
  EXPECT_EQ(second_time.changed, 3U);
  for (const char* path : {"d/content", "mode", "link"}) {
    EXPECT_EQ(second(second_time, path), k_commit + 50) << path;
    EXPECT_EQ(time(second_time, path), time(second_time, "link")) << "they changed together";
  }
  for (const char* path : {"same", "d", ""}) {
    EXPECT_EQ(time(second_time, path), time(first, path)) << path;
  }
}

TEST_F(FileTimes, GoUpByASecondWhenTheCommitsDoNot) {
  const auto first = deploy({{"a", "1"}}, k_commit);
  const auto older_commit = deploy({{"a", "2"}}, k_commit - 1000);
  EXPECT_EQ(second(older_commit, "a"), k_commit + 1);
  const auto rollback = deploy({{"a", "1"}}, k_commit);
  EXPECT_EQ(second(rollback, "a"), k_commit + 2);
  EXPECT_NE(time(rollback, "a"), time(first, "a"));
  EXPECT_EQ(second(deploy({{"a", "3"}}, k_commit + 2), "a"), k_commit + 3);
}

TEST_F(FileTimes, AreOldWhereNoClockCanHaveShownTheCommitsDate) {
  for (const std::int64_t date : {0L, 315'000'000L, 2'147'483'648L, 253'402'300'799L}) {
    record_.clear();
    const auto timed = deploy({{"a", "1"}}, date);
    EXPECT_EQ(second(timed, "a"), 315'619'200) << date;
    EXPECT_EQ(second(deploy({{"a", "2"}}, date), "a"), 315'619'201) << date;
  }
  record_.clear();
  EXPECT_EQ(second(deploy({{"a", "1"}}, 2'147'483'647), "a"), 2'147'483'647);
  EXPECT_EQ(second(deploy({{"a", "2"}}, 2'147'483'647), "a"), 2'147'483'648);
}

TEST_F(FileTimes, ForgetWhatWasDeleted) {
  deploy({{"a", "1"}, {"b", "1"}}, k_commit);
  const auto without = deploy({{"b", "1"}}, k_commit + 5);
  EXPECT_EQ(without.changed, 0U);
  const auto again = deploy({{"a", "1"}, {"b", "1"}}, k_commit);
  EXPECT_EQ(second(again, "a"), k_commit + 1);
  EXPECT_EQ(second(again, "b"), k_commit);
}

TEST_F(FileTimes, DoNotFollowAContentToAnotherPath) {
  deploy({{"a", "1"}, {"b", "2"}}, k_commit);
  const auto swapped = deploy({{"a", "2"}, {"b", "1"}}, k_commit);
  EXPECT_EQ(second(swapped, "a"), k_commit + 1);
  EXPECT_EQ(second(swapped, "b"), k_commit + 1);
}

TEST_F(FileTimes, ChangeWithTheWayItIsBuilt) {
  deploy({{"x", "1"}, {"app/x", "2"}}, k_commit);
  // An engine has "app/x" of the Dockerfile's context where it looks for "x" of buildpacks.
  const auto other = deploy({{"x", "1"}, {"app/x", "2"}}, k_commit, "buildpacks");
  EXPECT_EQ(second(other, "x"), k_commit + 1);
  EXPECT_EQ(second(deploy({{"x", "1"}}, k_commit, ""), "x"), k_commit + 2);
}

TEST_F(FileTimes, TellLostHistoriesApart) {
  const auto one = deploy({{"a", "1"}, {"b", "x"}}, k_commit);
  record_.clear();
  const auto other = deploy({{"a", "2"}, {"b", "x"}}, k_commit);
  EXPECT_EQ(second(other, "a"), second(one, "a"));
  EXPECT_NE(time(other, "a"), time(one, "a")) << "an engine still has the old content";
}

TEST_F(FileTimes, CoverGeneratedFiles) {
  const auto base = tree_of({{"a", "1"}});
  const auto first = deploy(ports::make_overlay_tree(base, {{".env", "A=1"}}), k_commit);
  const auto then = deploy(ports::make_overlay_tree(base, {{".env", "A=2"}}), k_commit);
  EXPECT_EQ(second(first, ".env"), k_commit);
  EXPECT_EQ(second(then, ".env"), k_commit + 1);
  EXPECT_EQ(time(then, "a"), time(first, "a"));
}

TEST_F(FileTimes, KeepTheSecretsOfTheRecord) {
  const auto env = [](const KeyedHash::Key& key) {
    return give_times(tree_of({{".env", "PASSWORD=x"}}), "", sys_seconds(seconds(k_commit)), key,
                      "")
        ->record;
  };
  EXPECT_NE(env(k_key), env({9})) << "nobody can try values without the key";
  EXPECT_FALSE(env(k_key).contains("PASSWORD"));
}

TEST_F(FileTimes, AreAllNewUnderAnotherKeyAndStillLater) {
  deploy({{"a", "1"}}, k_commit);
  const auto timed =
      give_times(tree_of({{"a", "1"}}), "", sys_seconds(seconds(k_commit)), {9}, record_);
  EXPECT_EQ(second(*timed, "a"), k_commit + 1);
}

TEST_F(FileTimes, TakeADamagedRecordForNone) {
  const std::string good = deploy({{"a", "1"}, {"b", "2"}}, k_commit).record;
  const std::string bytes = base64_decode(good.substr(good.find('\n') + 1)).value();
  const auto with_bytes = [&](const std::string& other) {
    return good.substr(0, good.find('\n') + 1) + base64_encode(other);
  };
  ASSERT_EQ(with_bytes(bytes), good);
  std::vector<std::string> damaged{"x", "times 2\n", "times 1\n", good + "AAAA", "times 1\n!!!!"};
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    damaged.push_back(with_bytes(bytes.substr(0, size)));
  }
  std::string unordered = bytes;
  std::swap_ranges(unordered.end() - 16, unordered.end() - 8, unordered.end() - 8);
  damaged.push_back(with_bytes(unordered));
  std::string late = bytes;
  late.replace(12, 8, "\xff\xff\xff\xff\xff\xff\xff\x7f");
  damaged.push_back(with_bytes(late));
  std::string many = bytes;
  many.replace(20, 4, "\xff\xff\xff\xff");
  damaged.push_back(with_bytes(many));
  for (const std::string& record : damaged) {
    record_ = record;
    const auto timed = deploy({{"a", "1"}, {"b", "2"}}, k_commit);
    EXPECT_TRUE(timed.unreadable) << record;
    EXPECT_EQ(timed.record, good);
  }
  record_ = good;
  EXPECT_FALSE(deploy({{"a", "1"}}, k_commit).unreadable);
}

TEST_F(FileTimes, SurviveAnEmptyTree) {
  EXPECT_EQ(deploy(Files{}, k_commit).files, 0U);
  const auto timed = deploy({{"a", "1"}}, k_commit);
  EXPECT_FALSE(timed.unreadable);
  EXPECT_EQ(second(timed, "a"), k_commit + 1);
}

/// Whatever happens, no two contents of a path have the same time and size, with lost records too;
/// what changed is later, what did not change is not.
TEST_F(FileTimes, NeverShowAnEngineTwoContentsUnderOneTime) {
  std::mt19937 random(7);
  const auto pick = [&random](int below) {
    return std::uniform_int_distribution<int>(0, below - 1)(random);
  };
  std::map<std::string, std::map<std::int64_t, std::string>> shown;
  std::map<std::string, std::pair<std::int64_t, std::string>> last;
  for (int deployment = 0; deployment < 2'000; ++deployment) {
    Files files;
    for (int i = 0; i < 8; ++i) {
      if (pick(5) != 0) {
        files[(i % 2 == 0 ? "f" : "d/f") + std::to_string(i)] = std::to_string(pick(3));
      }
    }
    const bool lost = pick(20) == 0;
    if (lost) {
      record_.clear();
      last.clear();
    }
    const auto timed = deploy(files, k_commit + pick(30));
    std::map<std::string, std::pair<std::int64_t, std::string>> now;
    for (const auto& [path, content] : files) {
      const std::int64_t at = time(timed, path);
      const auto [known, is_new] = shown[path].emplace(at, content);
      ASSERT_TRUE(is_new || known->second == content) << path;
      if (const auto before = last.find(path); before != last.end()) {
        if (before->second.second == content) {
          ASSERT_EQ(before->second.first, at) << path;
        } else {
          ASSERT_GT(at / k_second, before->second.first / k_second) << path;
        }
      }
      now[path] = {at, content};
    }
    last = std::move(now);
  }
}

}  // namespace
}  // namespace builder::build
