#pragma once

#include "ports/build_history.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace builder::adapters::history {

struct Began {
  ports::RunStart start;
  ports::HistoryTime time;
};

struct PhaseBegan {
  std::string name;
  std::chrono::steady_clock::time_point time;
};

struct Base {
  std::string reference;
  std::string digest;
};

struct Ended {
  ports::RunEnd end;
  ports::HistoryTime time;
  std::chrono::steady_clock::time_point steady;
};

/// The record is gone and no end was told.
struct Abandoned {};

/// One thing that was told of a run.
struct Item {
  std::uint64_t run = 0;  ///< Number of the record in this process.
  std::variant<Began, PhaseBegan, ports::RunStep, Base, ports::KeptRow, Ended, Abandoned> what;
  /// For the last two: how many rows the run had in all.
  std::uint64_t rows = 0;
  std::size_t bytes = 0;  ///< About what it takes in memory.
};

/// What is told of runs and not written yet, within bounds: what one run may have waiting is
/// bounded too, so that a build that prints much takes no room from the others. Rows that do not
/// fit are counted. Everything else has a reserve, in all and for each run: a build that prints
/// much keeps its steps, and many runs find room at a disk that stays full. Thread-safe; nobody
/// waits in it but its one reader.
class Inbox {
 public:
  static constexpr std::size_t k_most_bytes = 8 * 1024 * 1024;
  static constexpr std::size_t k_most_of_run = 2 * 1024 * 1024;
  static constexpr std::size_t k_reserve = 2 * 1024 * 1024;
  /// So long more is waited for: a reader of the history sees a row after a second at most.
  static constexpr std::chrono::milliseconds k_linger{500};
  /// The reader is woken before its time when so much waits.
  static constexpr std::size_t k_urgent = 512 * 1024;

  /// The record of a new run; one that takes nothing if there is no room.
  std::unique_ptr<ports::RunRecord> begin(ports::RunStart start);

  /// Waits for something to come in, for `idle` at most, and then for more of it. On stop at once.
  std::vector<Item> take(std::chrono::milliseconds idle, const std::stop_token& stop);
  /// So much of what was taken is written, or given up.
  void release(std::uint64_t run, std::size_t bytes);
  /// Nothing is taken any more, for good.
  void close();
  /// Rows that found no room, since this was asked last.
  std::uint64_t take_lost();

 private:
  class Record;

  /// What the record of a run has to say; with the lock held.
  void put(Item item);
  /// `reserve`: what may wait beyond the bounds, in all and of its run.
  [[nodiscard]] bool has_room(const Item& item, std::size_t reserve) const;

  std::mutex mutex_;
  std::condition_variable_any filled_;
  std::vector<Item> items_;
  std::size_t bytes_ = 0;                         ///< Waiting here and not yet released.
  std::map<std::uint64_t, std::size_t> of_runs_;  ///< The same, for each run.
  std::size_t fresh_ = 0;                         ///< In `items_`.
  std::uint64_t runs_ = 0;
  std::uint64_t lost_ = 0;
  bool closed_ = false;
};

}  // namespace builder::adapters::history
