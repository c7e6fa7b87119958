#pragma once

#include "base/result.hpp"
#include "base/spool_file.hpp"
#include "domain/build_event.hpp"
#include "report/channel_limits.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace builder::report {

/// Log rows that wait to be sent, in order, within bounds whatever comes: in memory, then in a
/// spool file. When that is full, cannot be written, or the log has reached its limit, the newest
/// rows are kept and the ones before them dropped: a notice with their number stands in their
/// place. Text is kept as it is given: free of secrets. Not thread-safe.
class LogBacklog {
 public:
  struct Row {
    domain::LogType type;
    std::string_view text;  ///< Lives until the next call.
    bool notice;            ///< One of ours about a gap; not a row that was pushed.
  };

  /// A row longer than `longest_row` is passed on in several.
  LogBacklog(BacklogLimits limits, std::size_t longest_row)
      : limits_(std::move(limits)), longest_row_(longest_row) {}

  /// `text`: valid UTF-8, not empty. Waits for nothing but the disk.
  void push(domain::LogType type, std::string_view text);

  /// Whether there is nothing to send now. Before `finish` the end of a log beyond its limit is
  /// kept back.
  [[nodiscard]] bool empty() const;

  /// Takes the oldest row out, if it is of type `only` and has at most `room` bytes.
  std::optional<Row> take(std::optional<domain::LogType> only = std::nullopt,
                          std::size_t room = std::numeric_limits<std::size_t>::max());

  /// The log has ended: its end may go, too.
  void finish() { finished_ = true; }

  /// Drops all but the newest rows, up to `bytes` of them.
  void keep_newest(std::size_t bytes, std::string_view why);
  /// Rows that were taken out and are given up.
  void give_up(std::uint64_t rows, std::uint64_t bytes, std::string_view why);
  /// Drops everything, without a notice.
  void clear();

  /// Bytes of rows that wait, without the tail.
  [[nodiscard]] std::uint64_t waiting() const { return head_.bytes; }

  /// Bytes of all rows that wait.
  [[nodiscard]] std::uint64_t held() const { return head_.bytes + tail_.bytes; }

  /// Rows pushed, and how many of them were dropped.
  [[nodiscard]] std::uint64_t pushed() const { return pushed_; }

  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  /// Why the disk could not be used, once for every time.
  [[nodiscard]] std::optional<Error> fault();

 private:
  struct Block {
    std::string packed;  ///< Of each row: type, size, text. Empty while it is in the spool.
    std::size_t read = 0;
    std::uint64_t rows = 0;   ///< Not yet read; so are the next two.
    std::uint64_t bytes = 0;  ///< Text, and a line end each.
    std::size_t size = 0;     ///< As packed.
    std::optional<std::size_t> slot;
  };

  struct Rows {
    std::deque<Block> blocks;
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
    std::uint64_t size = 0;
  };

  struct Gap {
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
    std::string why;
  };

  void push_row(domain::LogType type, std::string_view text);
  void pack(Rows& rows, domain::LogType type, std::string_view text);
  [[nodiscard]] bool make_room();
  [[nodiscard]] bool spool(Block& block);
  [[nodiscard]] bool load_front(Rows& rows);
  [[nodiscard]] bool tail_may_follow() const;
  void let_tail_follow();
  void shrink(Rows& rows, std::uint64_t size, Gap& gap);
  void drop_front_block(Rows& rows, Gap& gap);
  void count(Gap& gap, std::uint64_t rows, std::uint64_t bytes);
  static void read_row(Rows& rows, std::size_t text_size);
  static void forget_read(Rows& rows);

  const BacklogLimits limits_;
  const std::size_t longest_row_;
  std::optional<SpoolFile> file_;
  std::optional<Error> fault_;

  // What is sent next: front_gap_, head_, gap_, tail_.
  Gap front_gap_;
  Rows head_;
  Gap gap_;
  Rows tail_;
  bool open_ = true;      ///< New rows go to the head, else to the tail.
  bool limited_ = false;  ///< The log has reached its limit.
  bool limit_told_ = false;
  bool finished_ = false;
  std::uint64_t accepted_ = 0;
  std::uint64_t pushed_ = 0;
  std::uint64_t dropped_ = 0;
  std::string notice_;
};

}  // namespace builder::report
