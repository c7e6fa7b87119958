#include "report/log_backlog.hpp"

#include "base/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <malloc.h>
#include <sys/resource.h>

#include <charconv>
#include <csignal>
#include <filesystem>
#include <random>

namespace builder::report {
namespace {

using domain::LogType;
using testing::ElementsAre;
using testing::HasSubstr;

class BacklogTest : public testing::Test {
 protected:
  /// Small bounds, so that a few rows reach each of them.
  BacklogLimits small() const {
    return {.block = 100,
            .memory = 300,
            .spool = 500,
            .tail = 150,
            .log = 0,
            .spool_folder = folder_.path()};
  }

  static std::vector<std::string> drain(LogBacklog& backlog) {
    std::vector<std::string> rows;
    while (const auto row = backlog.take()) {
      rows.emplace_back(row->text);
    }
    EXPECT_TRUE(backlog.empty());
    return rows;
  }

  [[nodiscard]] bool folder_is_empty() const { return std::filesystem::is_empty(folder_.path()); }

  TempDir folder_ = TempDir::make(testing::TempDir(), "backlog").value();
};

std::string row_of(int number) {
  return "row " + std::to_string(1'000 + number);
}

/// What a notice says: rows and bytes.
std::pair<std::uint64_t, std::uint64_t> numbers_of(std::string_view notice) {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::from_chars(notice.data() + 1, notice.data() + notice.size(), rows);
  const std::size_t open = notice.find('(');
  EXPECT_NE(open, std::string_view::npos) << notice;
  std::from_chars(notice.data() + open + 1, notice.data() + notice.size(), bytes);
  return {rows, bytes};
}

TEST_F(BacklogTest, RowsComeOutAsTheyWentIn) {
  LogBacklog backlog({}, 60'000);
  EXPECT_TRUE(backlog.empty());
  backlog.push(LogType::stderr_, "one");
  backlog.push(LogType::info, "two");
  EXPECT_FALSE(backlog.take(LogType::info)) << "another type is in front";
  EXPECT_FALSE(backlog.take(LogType::stderr_, 2)) << "it is longer";
  const auto row = backlog.take(LogType::stderr_, 3);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->text, "one");
  EXPECT_EQ(row->type, LogType::stderr_);
  EXPECT_THAT(drain(backlog), ElementsAre("two"));
  EXPECT_EQ(backlog.pushed(), 2u);
  EXPECT_EQ(backlog.dropped(), 0u);
}

TEST_F(BacklogTest, WhatDoesNotFitInMemoryComesBackFromTheDiskInOrder) {
  LogBacklog backlog(small(), 60);
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {  // 13 bytes each: more than memory, less than with the spool.
    backlog.push(LogType::stdout_, row_of(i));
    expected.push_back(row_of(i));
  }
  EXPECT_TRUE(folder_is_empty()) << "the spool has no name";
  EXPECT_EQ(drain(backlog), expected);
  EXPECT_EQ(backlog.dropped(), 0u);
}

TEST_F(BacklogTest, WhatIsOnTheDiskIsNotInMemory) {
  LogBacklog backlog({.spool = 64U << 20U, .spool_folder = folder_.path()}, 60'000);
  const std::string text(1'000, 'x');
  const std::size_t before = ::mallinfo2().uordblks;
  for (int i = 0; i < 20'000; ++i) {
    backlog.push(LogType::stdout_, text);
  }
  EXPECT_LT(::mallinfo2().uordblks, before + (4u << 20));
  EXPECT_EQ(drain(backlog).size(), 20'000u);
}

TEST_F(BacklogTest, WhenAllIsFullTheFirstAndTheLastRowsAreKeptAndTheGapIsAnnounced) {
  LogBacklog backlog(small(), 60);
  for (int i = 0; i < 1'000; ++i) {
    backlog.push(LogType::stdout_, row_of(i));
  }
  const auto rows = drain(backlog);
  EXPECT_EQ(rows.front(), row_of(0));
  EXPECT_EQ(rows.back(), row_of(999));
  const auto gap = std::ranges::find_if(rows, [](auto& row) { return row.starts_with('['); });
  ASSERT_NE(gap, rows.end());
  const auto [count, bytes] = numbers_of(*gap);
  EXPECT_EQ(count, 1'000 - (rows.size() - 1));
  EXPECT_EQ(bytes, count * 9);
  EXPECT_EQ(count, backlog.dropped());
  EXPECT_EQ(*(gap - 1), row_of(static_cast<int>(gap - rows.begin()) - 1));
  EXPECT_EQ(*(gap + 1), row_of(static_cast<int>(gap - rows.begin()) + static_cast<int>(count)));
}

TEST_F(BacklogTest, ItTakesRowsAgainOnceItHasBeenSent) {
  LogBacklog backlog(small(), 60);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 200; ++i) {
      backlog.push(LogType::stdout_, row_of(i));
    }
    const auto rows = drain(backlog);
    EXPECT_EQ(rows.front(), row_of(0));
    EXPECT_EQ(rows.back(), row_of(199));
    EXPECT_EQ(std::ranges::count_if(rows, [](auto& row) { return row.starts_with('['); }), 1);
  }
}

TEST_F(BacklogTest, ALongRowIsCutBetweenCharacters) {
  LogBacklog backlog({}, 100);
  std::string line;
  for (int i = 0; i < 100; ++i) {
    line += "\xE2\x82\xAC";
  }
  backlog.push(LogType::stdout_, line);
  std::string joined;
  for (const std::string& row : drain(backlog)) {
    EXPECT_LE(row.size(), 100u);
    EXPECT_EQ(row.size() % 3, 0u);
    joined += row;
  }
  EXPECT_EQ(joined, line);
}

TEST_F(BacklogTest, ALogBeyondItsLimitSaysSoAndKeepsItsEndForTheEnd) {
  BacklogLimits limits = small();
  limits.log = 90;
  LogBacklog backlog(limits, 60);
  for (int i = 0; i < 100; ++i) {
    backlog.push(LogType::stdout_, row_of(i));
  }
  auto rows = drain(backlog);
  ASSERT_EQ(rows.size(), 11u);
  EXPECT_EQ(rows[9], row_of(9));
  EXPECT_THAT(rows[10], HasSubstr("limit of 90"));
  backlog.push(LogType::stdout_, "the end");
  EXPECT_TRUE(backlog.empty());
  backlog.finish();
  rows = drain(backlog);
  EXPECT_THAT(rows.front(), HasSubstr("dropped: the log is longer than 90"));
  EXPECT_EQ(rows.back(), "the end");
  EXPECT_EQ(numbers_of(rows.front()).first, 101 - 10 - (rows.size() - 1));
}

TEST_F(BacklogTest, TheNewestRowsAreKeptWhenTimeIsOver) {
  LogBacklog backlog(small(), 60);
  for (int i = 0; i < 60; ++i) {
    backlog.push(LogType::stdout_, row_of(i));
  }
  backlog.keep_newest(3 * 13, "no time");
  EXPECT_THAT(drain(backlog), ElementsAre("[57 lines (513 bytes) dropped: no time]", row_of(57),
                                          row_of(58), row_of(59)));
  backlog.push(LogType::stdout_, "x");
  backlog.clear();
  EXPECT_TRUE(backlog.empty());
  EXPECT_EQ(backlog.dropped(), 58u);
}

TEST_F(BacklogTest, OneLineIsOneLine) {
  LogBacklog backlog({}, 60);
  backlog.give_up(1, 1, "why");
  EXPECT_THAT(drain(backlog), ElementsAre("[1 line (1 byte) dropped: why]"));
}

TEST_F(BacklogTest, ADiskThatCannotBeWrittenIsLikeAFullOne) {
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit narrow{.rlim_cur = 150, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &narrow), 0);
  LogBacklog backlog(small(), 60);
  for (int i = 0; i < 100; ++i) {
    backlog.push(LogType::stdout_, row_of(i));
  }
  EXPECT_TRUE(backlog.fault());
  EXPECT_FALSE(backlog.fault()) << "told once";
  const auto rows = drain(backlog);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, before);
  EXPECT_EQ(rows.front(), row_of(0));
  EXPECT_EQ(rows.back(), row_of(99));
  const auto gap = std::ranges::find_if(rows, [](auto& row) { return row.starts_with('['); });
  ASSERT_NE(gap, rows.end());
  EXPECT_THAT(*gap, HasSubstr("no room to keep them"));
  EXPECT_EQ(numbers_of(*gap).first + rows.size() - 1, 100u);
}

TEST_F(BacklogTest, AFolderThatIsGoneLosesOnlyWhatMemoryCannotHold) {
  BacklogLimits limits = small();
  limits.spool_folder += "/gone";
  LogBacklog backlog(limits, 60);
  for (int i = 0; i < 100; ++i) {
    backlog.push(LogType::stdout_, row_of(i));
  }
  EXPECT_TRUE(backlog.fault());
  const auto rows = drain(backlog);
  EXPECT_EQ(rows.front(), row_of(0));
  EXPECT_EQ(rows.back(), row_of(99));
}

/// Random rows and reads against what must hold: the order is exact, what is missing is announced
/// where it is missing with its exact numbers, and nothing is missing while there is room.
TEST_F(BacklogTest, AnyMixOfRowsAndReadsLosesOnlyWhatItAnnounces) {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    BacklogLimits limits = small();
    limits.block = 60 + below(200);
    limits.memory = below(1'000);
    limits.spool = below(2'000);
    limits.tail = 100 + below(500);
    limits.log = below(3) == 0 ? 500 + below(5'000) : 0;
    if (below(5) == 0) {
      limits.spool_folder.clear();
    }
    LogBacklog backlog(limits, 50);

    struct Pushed {
      LogType type;
      std::string text;
    };

    std::deque<Pushed> waiting;  // Pushed and neither read nor announced as dropped.
    std::uint64_t waiting_bytes = 0;
    std::uint64_t announced = 0;
    std::uint64_t most_held = 0;
    const auto read_one = [&] {
      const auto row = backlog.take();
      if (!row) {
        return false;
      }
      if (!row->notice) {
        EXPECT_FALSE(waiting.empty());
        EXPECT_EQ(row->text, waiting.front().text);
        EXPECT_EQ(row->type, waiting.front().type);
        waiting_bytes -= row->text.size() + 1;
        waiting.pop_front();
      } else if (row->text.contains("dropped")) {
        auto [count, bytes] = numbers_of(row->text);
        announced += count;
        EXPECT_LE(count, waiting.size());
        for (; count > 0 && !waiting.empty(); --count) {
          bytes -= waiting.front().text.size() + 1;
          waiting_bytes -= waiting.front().text.size() + 1;
          waiting.pop_front();
        }
        EXPECT_EQ(bytes, 0u);
      }
      return !testing::Test::HasFailure();
    };
    const std::size_t appetite = below(100);  // How quickly it is read, in this round.
    for (int i = 0; i < 400; ++i) {
      if (below(100) < appetite) {
        ASSERT_TRUE(read_one() || waiting.empty() || limits.log != 0) << i;
      } else {
        const auto type = static_cast<LogType>(below(5));
        std::string text = std::to_string(i) + std::string(1 + below(40), 'x');
        backlog.push(type, text);
        waiting_bytes += text.size() + 1;
        waiting.push_back({type, std::move(text)});
      }
      most_held = std::max(most_held, backlog.held());
      if (waiting_bytes + 5 * waiting.size() < limits.memory / 2 && limits.log == 0 &&
          backlog.dropped() == announced) {
        ASSERT_EQ(backlog.held(), waiting_bytes) << "there was room";
      }
    }
    backlog.finish();
    while (read_one()) {
    }
    EXPECT_TRUE(waiting.empty());
    EXPECT_EQ(announced, backlog.dropped());
    EXPECT_LE(most_held, limits.memory + limits.spool + 2 * limits.tail + 3 * limits.block);
    EXPECT_TRUE(backlog.empty());
    EXPECT_TRUE(folder_is_empty());
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace builder::report
