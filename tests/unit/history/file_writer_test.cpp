#include "adapters/history/file_writer.hpp"

#include "kept.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

#include <random>

namespace builder::adapters::history {
namespace {

using testing::ElementsAre;

class HistoryFile : public ::testing::Test {
 protected:
  FileWriter writer(Keep keep) {
    return FileWriter({.folder = folder_.path(), .keep = keep}, [](const std::string&) {});
  }

  /// A run that is over, with a log that cannot be compressed, in hexadecimal digits.
  void add(FileWriter& file, const std::string& deployment, const std::string& service,
           std::size_t log_bytes, std::chrono::hours age = 0h) {
    Runs runs;
    const auto time =
        std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now() - age);
    RunState& run = runs.try_emplace(1, Began{.start = start_of(deployment, service), .time = time})
                        .first->second;
    std::uint64_t number = 0;
    for (std::size_t left = log_bytes; left > 0; left -= std::min<std::size_t>(left, 4000)) {
      ports::KeptRow row{.number = number++, .time = time};
      while (row.line.size() < 4000) {
        row.line += static_cast<char>(random_());
      }
      run.take({.run = 1, .what = std::move(row)}, 100 * 1024 * 1024);
    }
    run.take({.run = 1, .what = Ended{end_of("builded"), time}, .rows = number}, 1);
    const auto written = file.write(runs);
    ASSERT_TRUE(written) << written.error().message;
  }

  static void prune_all(FileWriter& file) {
    for (;;) {
      const auto more = file.prune();
      ASSERT_TRUE(more) << more.error().message;
      if (!*more) {
        return;
      }
    }
  }

  [[nodiscard]] std::int64_t size() const {
    struct stat status{};
    EXPECT_EQ(::stat(folder_.file().c_str(), &status), 0);
    return status.st_size;
  }

  [[nodiscard]] std::int64_t count(const std::string& table) const {
    return *Database::open(folder_.file(), Database::Mode::read, 10s)
                ->number("SELECT count(*) FROM " + table);
  }

  Folder folder_;
  std::mt19937 random_{7};
};

TEST_F(HistoryFile, ForgetsWhatIsTooOld) {
  FileWriter file = writer({.age = 48h, .bytes = 1 << 30});
  for (int i = 0; i < 120; ++i) {
    add(file, "old" + std::to_string(i), "s1", 100, 49h);
  }
  add(file, "young", "s1", 100, 47h);
  prune_all(file);
  EXPECT_THAT(folder_.names(), ElementsAre("young"));
  EXPECT_EQ(count("chunks"), 1);
}

TEST_F(HistoryFile, ShrinksToItsSize) {
  constexpr std::uint64_t k_most = 4 * 1024 * 1024;
  FileWriter file = writer({.age = 48h, .bytes = k_most});
  for (int i = 0; i < 100; ++i) {
    add(file, "d" + std::to_string(i), "s1", 100'000);
  }
  prune_all(file);
  EXPECT_LE(size(), static_cast<std::int64_t>(k_most));
  const auto names = folder_.names({.most = 1000});
  EXPECT_GT(names.size(), 20U);
  EXPECT_EQ(names.front(), "d99") << "the oldest went";
  EXPECT_EQ(names.back(), "d" + std::to_string(100 - names.size()));
  EXPECT_EQ(folder_.lines("d99").size(), 25U);
}

TEST_F(HistoryFile, ServicesThatKeepMuchGiveFirst) {
  FileWriter file = writer({.age = 48h, .bytes = 4 * 1024 * 1024});
  add(file, "small", "quiet", 10'000);
  for (int i = 0; i < 100; ++i) {
    add(file, "d" + std::to_string(i), "loud", 100'000);
  }
  prune_all(file);
  EXPECT_THAT(folder_.names({.service = "quiet"}), ElementsAre("small"));
  EXPECT_LT(folder_.names({.service = "loud", .most = 1000}).size(), 100U);
}

TEST_F(HistoryFile, RunsThatGoOnAreNotForgotten) {
  FileWriter file = writer({.age = 1h, .bytes = 1 << 30});
  Runs runs;
  runs.try_emplace(1, Began{.start = start_of("d1"), .time = ports::HistoryTime()});
  ASSERT_TRUE(file.write(runs));
  prune_all(file);
  EXPECT_THAT(folder_.names(), ElementsAre("d1"));
  // Another's whose writer was killed is.
  folder_.execute("UPDATE runs SET writer = 4711");
  prune_all(file);
  EXPECT_TRUE(folder_.names().empty());
  // And one that only looked so does not harm what comes after it.
  runs.at(1).take({.run = 1, .what = ports::RunStep{.name = "x"}}, 1000);
  runs.at(1).take({.run = 1, .what = ports::KeptRow{.line = "x"}}, 1000);
  EXPECT_TRUE(file.write(runs));
  EXPECT_EQ(count("chunks"), 0);
}

TEST_F(HistoryFile, WhatFailedIsWrittenTheNextTime) {
  FileWriter file = writer(k_much);
  Runs runs;
  RunState& run = runs.try_emplace(1, Began{.start = start_of("d1"), .time = ports::HistoryTime()})
                      .first->second;
  run.take({.run = 1, .what = ports::RunStep{.name = "x"}}, 1000);
  ASSERT_TRUE(file.write(runs));
  run.take({.run = 1, .what = ports::RunStep{.name = "y"}}, 1000);
  run.take({.run = 1, .what = ports::KeptRow{.line = "a row"}}, 1000);
  // As with a full disk: the last of what is written fails.
  folder_.execute("ALTER TABLE chunks RENAME TO away");
  EXPECT_FALSE(file.write(runs));
  EXPECT_EQ(folder_.find("d1").steps.size(), 1U) << "all or nothing";
  folder_.execute("ALTER TABLE away RENAME TO chunks");
  ASSERT_TRUE(file.write(runs));
  EXPECT_EQ(folder_.find("d1").steps.size(), 2U);
  EXPECT_THAT(folder_.lines("d1"), ElementsAre("a row"));
}

TEST_F(HistoryFile, AFullDiskIsNoDamage) {
  FileWriter file = writer(k_much);
  add(file, "d1", "s1", 1000);
  auto full = Database::open(folder_.file(), Database::Mode::write, 1s);
  ASSERT_TRUE(full);
  const auto pages = full->number("PRAGMA page_count");
  ASSERT_TRUE(full->execute("PRAGMA max_page_count = " + std::to_string(*pages)));
  const auto filled = full->execute("CREATE TABLE filler AS SELECT randomblob(1000000)");
  ASSERT_FALSE(filled);
  EXPECT_EQ(filled.error().kind, ErrorKind::unavailable);
}

}  // namespace
}  // namespace builder::adapters::history
