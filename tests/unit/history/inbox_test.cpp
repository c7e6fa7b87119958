#include "adapters/history/inbox.hpp"

#include "kept.hpp"

#include <algorithm>

namespace builder::adapters::history {
namespace {

using domain::LogType;

constexpr std::string_view k_line = "0123456789";

/// Rows that the record of a run could put in before there was no room.
std::uint64_t fill(Inbox& inbox, ports::RunRecord& record) {
  const std::string line(60 * 1024, 'x');
  std::uint64_t rows = 0;
  inbox.take_lost();
  do {
    record.row(LogType::stdout_, line);
    ++rows;
  } while (inbox.take_lost() == 0);
  return rows - 1;
}

std::size_t rows_in(const std::vector<Item>& items, std::uint64_t run) {
  return static_cast<std::size_t>(std::ranges::count_if(items, [&](const Item& item) {
    return item.run == run && std::holds_alternative<ports::KeptRow>(item.what);
  }));
}

TEST(HistoryInbox, ABuildThatPrintsMuchLeavesRoomForOthers) {
  Inbox inbox;
  const auto loud = inbox.begin(start_of("loud"));
  const auto quiet = inbox.begin(start_of("quiet"));
  EXPECT_GT(fill(inbox, *loud), 10U);
  quiet->row(LogType::stdout_, k_line);
  EXPECT_EQ(inbox.take_lost(), 0U);
  EXPECT_EQ(rows_in(inbox.take(0ms, {}), 2), 1U);
}

TEST(HistoryInbox, ManyLoudBuildsTogetherAreBoundedToo) {
  Inbox inbox;
  std::vector<std::unique_ptr<ports::RunRecord>> records;
  std::uint64_t rows = 0;
  for (int i = 0; i < 40; ++i) {
    records.push_back(inbox.begin(start_of("d" + std::to_string(i))));
    rows += fill(inbox, *records.back());
  }
  EXPECT_LE(rows * 60 * 1024, Inbox::k_most_bytes);
}

TEST(HistoryInbox, WhatWasTakenStillTakesItsRoomUntilItIsWritten) {
  Inbox inbox;
  const auto record = inbox.begin(start_of("d1"));
  fill(inbox, *record);
  const std::vector<Item> items = inbox.take(0ms, {});
  EXPECT_EQ(fill(inbox, *record), 0U);
  for (const Item& item : items) {
    inbox.release(item.run, item.bytes);
  }
  EXPECT_GT(fill(inbox, *record), 10U);
}

TEST(HistoryInbox, ARunThatWasQuietHasNothingToRelease) {
  Inbox inbox;
  const auto record = inbox.begin(start_of("d1"));
  const std::vector<Item> items = inbox.take(0ms, {});
  inbox.release(1, items.at(0).bytes);
  for (int i = 0; i < 3; ++i) {
    inbox.release(1, 0);
  }
  record->row(LogType::stdout_, k_line);
  EXPECT_EQ(rows_in(inbox.take(0ms, {}), 1), 1U);
}

TEST(HistoryInbox, RowsThatWereLostLeaveAGapInTheNumbers) {
  Inbox inbox;
  const auto record = inbox.begin(start_of("d1"));
  const std::uint64_t kept = fill(inbox, *record);
  for (const Item& item : inbox.take(0ms, {})) {
    inbox.release(item.run, item.bytes);
  }
  record->row(LogType::stdout_, k_line);
  const std::vector<Item> items = inbox.take(0ms, {});
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(std::get<ports::KeptRow>(items[0].what).number, kept + 1);
  record->end({});
  EXPECT_EQ(inbox.take(0ms, {}).at(0).rows, kept + 2);
}

TEST(HistoryInbox, AnEndIsTakenHoweverFullItIs) {
  Inbox inbox;
  std::vector<std::unique_ptr<ports::RunRecord>> records;
  for (int i = 0; i < 40; ++i) {
    records.push_back(inbox.begin(start_of("d" + std::to_string(i))));
    fill(inbox, *records.back());
  }
  for (const auto& record : records) {
    record->end(end_of("builded"));
  }
  const std::vector<Item> items = inbox.take(0ms, {});
  EXPECT_EQ(std::ranges::count_if(
                items, [](const Item& item) { return std::holds_alternative<Ended>(item.what); }),
            std::ssize(records));
}

TEST(HistoryInbox, RunsThatFindNoRoomAreNotKeptAndHarmNobody) {
  Inbox inbox;
  ports::RunStart large = start_of("d1");
  large.variables.assign(1000, std::string(200, 'V'));
  std::size_t begun = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto record = inbox.begin(large);
    record->row(LogType::stdout_, k_line);
    record->end(end_of("builded"));
  }
  for (const Item& item : inbox.take(0ms, {})) {
    begun += std::holds_alternative<Began>(item.what) ? 1U : 0U;
  }
  EXPECT_GT(begun, 10U);
  EXPECT_LT(begun, 500U);
}

TEST(HistoryInbox, NamesOfStrangersAreCut) {
  Inbox inbox;
  const auto record = inbox.begin(start_of("d1"));
  record->step({.name = std::string(1'000'000, 'n')});
  record->row(LogType::stdout_, std::string(1'000'000, 'r'));
  for (int i = 0; i < 10'000; ++i) {
    record->phase("p");
  }
  const std::vector<Item> items = inbox.take(0ms, {});
  EXPECT_LT(std::get<ports::RunStep>(items.at(1).what).name.size(), 300U);
  EXPECT_LE(std::get<ports::KeptRow>(items.at(2).what).line.size(), 64U * 1024);
  EXPECT_LT(items.size(), 3000U);
}

TEST(HistoryInbox, NothingIsTakenOnceItIsClosed) {
  Inbox inbox;
  const auto record = inbox.begin(start_of("d1"));
  inbox.close();
  record->row(LogType::stdout_, k_line);
  record->end({});
  inbox.begin(start_of("d2"))->end({});
  EXPECT_TRUE(inbox.take(0ms, {}).empty());
}

}  // namespace
}  // namespace builder::adapters::history
