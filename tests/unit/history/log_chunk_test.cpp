#include "adapters/history/log_chunk.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace builder::adapters::history {
namespace {

using domain::LogType;

ports::KeptRow row(std::uint64_t number, std::string line) {
  return {.number = number,
          .time = ports::HistoryTime(std::chrono::milliseconds(1'700'000'000'123)),
          .type = LogType::stderr_,
          .line = std::move(line)};
}

TEST(LogChunk, GivesBackItsRowsWhateverIsInThem) {
  const std::vector<std::string> lines{
      "one",          "",           std::string("a\0b", 3),
      "\xff\xc3\x28", "two\nlines", std::string(k_longest_row, 'x')};
  std::string chunk;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    append_row(chunk, row(i * 7, lines[i]));
  }
  const auto rows = rows_of(compressed(chunk));
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ((*rows)[i].line, lines[i]);
    EXPECT_EQ((*rows)[i].number, i * 7);
    EXPECT_EQ((*rows)[i].type, LogType::stderr_);
    EXPECT_EQ((*rows)[i].time, row(0, "").time);
  }
}

TEST(LogChunk, TheLargestOneCanBeRead) {
  std::string chunk;
  append_row(chunk, row(0, std::string(k_chunk_bytes - 22, 'a')));
  ASSERT_LT(chunk.size(), k_chunk_bytes);
  append_row(chunk, row(1, std::string(k_longest_row, 'b')));
  EXPECT_EQ(rows_of(compressed(chunk))->size(), 2U);
}

TEST(LogChunk, DamagedBytesAreAnError) {
  std::string chunk;
  append_row(chunk, row(0, "a line"));
  for (const std::string& bad :
       {std::string(), std::string("no zlib"), compressed(chunk).substr(0, 10),
        compressed(chunk.substr(0, chunk.size() - 1)), compressed("x"),
        compressed(std::string(64, '\xff')), compressed(std::string(10 * k_chunk_bytes, 'a'))}) {
    const auto rows = rows_of(bad);
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().kind, ErrorKind::invalid_input);
  }
}

TEST(LogChunk, AnyChangeOfAByteEndsInRowsOrAnError) {
  std::string chunk;
  for (int i = 0; i < 50; ++i) {
    append_row(chunk, row(1, "line " + std::to_string(i)));
  }
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = chunk;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    [[maybe_unused]] const auto rows = rows_of(compressed(damaged));
    std::string stored = compressed(chunk);
    stored[random() % stored.size()] = static_cast<char>(random());
    [[maybe_unused]] const auto other = rows_of(stored);
  }
}

}  // namespace
}  // namespace builder::adapters::history
