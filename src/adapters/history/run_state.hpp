#pragma once

#include "adapters/history/inbox.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::history {

/// Rows of a log that lie in the file together.
struct Chunk {
  std::uint64_t first = 0;  ///< Number of its first row; it stays.
  std::uint64_t rows = 0;
  std::string raw;             ///< Empty: it is complete, and written.
  std::size_t raw_bytes = 0;   ///< Of all its rows.
  std::size_t file_bytes = 0;  ///< As it was written last.
  bool is_new = true;          ///< Something of it is not written.
};

/// What the writer knows of a run that is not over, or whose end is not written. Everything but the
/// log is kept until then, so that it can be written again if the file goes.
struct RunState {
  explicit RunState(Began began) : start(std::move(began.start)), started(began.time) {}

  /// Takes in what was told. `head`: bytes of the log that are kept from its beginning, and from
  /// its end.
  void take(Item&& item, std::uint64_t head);
  /// The file is gone, and with it what was written.
  void forget_written();

  [[nodiscard]] bool is_over() const { return ended || abandoned; }

  [[nodiscard]] std::uint64_t rows_kept() const;
  /// About what it takes in the file.
  [[nodiscard]] std::uint64_t file_bytes() const;

  ports::RunStart start;
  ports::HistoryTime started;
  std::vector<std::pair<std::string, std::chrono::milliseconds>> phases;
  std::vector<ports::RunStep> steps;
  std::vector<Base> bases;
  std::optional<Ended> ended;
  bool abandoned = false;
  std::uint64_t rows = 0;
  std::deque<Chunk> chunks;

  std::int64_t id = 0;  ///< In the file; 0: not there yet.
  std::size_t phases_written = 0;
  std::size_t steps_written = 0;
  std::size_t bases_written = 0;
  std::vector<std::uint64_t> cut;  ///< First rows of written chunks that the limit removes.
  bool is_new = true;              ///< Something of it is not written.
  std::size_t waiting = 0;         ///< Bytes of items that are not written.

 private:
  void end_phase(std::chrono::steady_clock::time_point now);
  void add(const ports::KeptRow& row, std::uint64_t head);
  void trim(std::uint64_t head);

  std::optional<std::chrono::steady_clock::time_point> phase_began_;
};

}  // namespace builder::adapters::history
