#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder::app::cli {

/// The end of what a step has printed, as rows that are safe to show: valid UTF-8 without control
/// characters, colours and hidden characters, tabs as blanks. A lone `\r` goes back to the
/// beginning of the row, so a progress bar is the row it shows last. The row being written counts
/// as a row. Memory is bounded whatever a step prints. Not thread-safe.
class OutputRows {
 public:
  /// Of more output, the end is kept.
  static constexpr std::size_t k_kept = std::size_t{1024} * 1024;
  /// A longer row is shown as several.
  static constexpr std::size_t k_longest_row = std::size_t{16} * 1024;

  void feed(std::string_view chunk, bool is_stderr);

  /// At most so many of the last rows; empty ones do not count.
  [[nodiscard]] std::vector<std::string> last(std::size_t rows) const;
  /// All that is kept.
  [[nodiscard]] std::vector<std::string> all() const;

  [[nodiscard]] bool empty() const;

  /// Bytes that were printed before what is kept.
  [[nodiscard]] std::uint64_t left_out() const;

 private:
  /// The row that a stream is writing, as it came.
  struct Row {
    std::string text;
    bool after_return = false;
  };

  void take(Row& row, std::string_view text);
  void end(Row& row);
  [[nodiscard]] std::size_t begin_of_kept() const;

  std::string ended_;  ///< Rows with a line end each, as they came.
  std::array<Row, 2> open_;
  std::uint64_t dropped_ = 0;
};

}  // namespace builder::app::cli
