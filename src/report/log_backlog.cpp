#include "report/log_backlog.hpp"

#include "base/size.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace builder::report {

namespace {

using domain::LogType;

constexpr std::string_view k_too_slow = "the platform did not take the log as fast as it came";
constexpr std::string_view k_no_disk = "there was no room to keep them";

using RowSize = std::uint32_t;
constexpr std::size_t k_header = 1 + sizeof(RowSize);

}  // namespace

void LogBacklog::push(LogType type, std::string_view text) {
  const std::size_t longest = std::min(longest_row_, limits_.block - k_header);
  while (!text.empty()) {
    const std::size_t cut = truncate_bytes(text, longest).size();
    push_row(type, text.substr(0, cut));
    text.remove_prefix(cut);
  }
}

void LogBacklog::push_row(LogType type, std::string_view text) {
  forget_read(head_);
  ++pushed_;
  if (open_ && limits_.log != 0 && accepted_ + text.size() + 1 > limits_.log) {
    limited_ = true;
    open_ = false;
    gap_.why = fmt::format("the log is longer than {}", format_size(limits_.log));
  }
  if (open_) {
    const bool fits = !head_.blocks.empty() && !head_.blocks.back().slot &&
                      head_.blocks.back().packed.size() + k_header + text.size() <= limits_.block;
    if (fits || make_room()) {
      accepted_ += text.size() + 1;
      return pack(head_, type, text);
    }
    open_ = false;
  }
  pack(tail_, type, text);
  shrink(tail_, limits_.tail, gap_);
}

void LogBacklog::pack(Rows& rows, LogType type, std::string_view text) {
  if (rows.blocks.empty() || rows.blocks.back().slot ||
      rows.blocks.back().packed.size() + k_header + text.size() > limits_.block) {
    rows.blocks.emplace_back().packed.reserve(limits_.block);
  }
  Block& block = rows.blocks.back();
  const auto size = static_cast<RowSize>(text.size());
  char raw[sizeof(size)];
  std::memcpy(raw, &size, sizeof(size));
  block.packed += static_cast<char>(type);
  block.packed.append(raw, sizeof(raw));
  block.packed += text;
  ++block.rows;
  block.bytes += text.size() + 1;
  block.size += k_header + text.size();
  ++rows.rows;
  rows.bytes += text.size() + 1;
  rows.size += k_header + text.size();
}

/// Makes the head's last block complete: the next row begins a new one.
bool LogBacklog::make_room() {
  const auto in_memory =
      std::ranges::count_if(head_.blocks, [](const Block& block) { return !block.slot; });
  return head_.blocks.empty() ||
         static_cast<std::size_t>(in_memory + 1) * limits_.block <= limits_.memory ||
         spool(head_.blocks.back());
}

bool LogBacklog::spool(Block& block) {
  gap_.why = k_too_slow;
  if (limits_.spool_folder.empty() || limits_.spool < limits_.block) {
    return false;
  }
  if (!file_) {
    auto opened = SpoolFile::open(limits_.spool_folder, limits_.block, limits_.spool);
    if (!opened) {
      gap_.why = k_no_disk;
      fault_ = std::move(opened).error();
      return false;
    }
    file_ = *std::move(opened);
  }
  if (file_->is_full()) {
    return false;
  }
  const auto slot = file_->write(std::string_view(block.packed).substr(block.read));
  if (!slot) {
    gap_.why = k_no_disk;
    fault_ = slot.error();
    return false;
  }
  block.slot = *slot;
  block.read = 0;
  std::string().swap(block.packed);  // An assignment would keep its memory.
  return true;
}

bool LogBacklog::load_front(Rows& rows) {
  Block& block = rows.blocks.front();
  if (!block.slot) {
    return true;
  }
  auto packed = file_->read(*block.slot, block.size);
  if (!packed) {
    fault_ = std::move(packed).error();
    return false;
  }
  file_->free(*block.slot);
  block.slot.reset();
  block.packed = *std::move(packed);
  return true;
}

bool LogBacklog::empty() const {
  return front_gap_.rows == 0 && head_.rows == 0 && (!limited_ || limit_told_) &&
         !tail_may_follow();
}

bool LogBacklog::tail_may_follow() const {
  return (!limited_ || finished_) && (tail_.rows > 0 || gap_.rows > 0);
}

void LogBacklog::let_tail_follow() {
  front_gap_ = std::exchange(gap_, {.rows = 0, .bytes = 0, .why = gap_.why});
  head_ = std::exchange(tail_, {});
  accepted_ += head_.bytes;
  open_ = !limited_;
}

std::optional<LogBacklog::Row> LogBacklog::take(std::optional<LogType> only, std::size_t room) {
  const auto notice = [&]() -> std::optional<Row> {
    if ((only && *only != LogType::warning) || notice_.size() > room) {
      return std::nullopt;
    }
    return Row{.type = LogType::warning, .text = notice_, .notice = true};
  };
  for (;;) {
    if (front_gap_.rows > 0) {
      notice_ = fmt::format("[{} line{} ({} byte{}) dropped: {}]", front_gap_.rows,
                            front_gap_.rows == 1 ? "" : "s", front_gap_.bytes,
                            front_gap_.bytes == 1 ? "" : "s", front_gap_.why);
      auto row = notice();
      if (row) {
        front_gap_ = {};
      }
      return row;
    }
    forget_read(head_);
    if (head_.rows > 0) {
      if (load_front(head_)) {
        break;
      }
      front_gap_.why = k_no_disk;
      drop_front_block(head_, front_gap_);
    } else if (limited_ && !limit_told_) {
      notice_ = fmt::format(
          "[the log has reached its limit of {}: of what follows, only the end is kept]",
          format_size(limits_.log));
      auto row = notice();
      limit_told_ = row.has_value();
      return row;
    } else if (tail_may_follow()) {
      let_tail_follow();
    } else {
      return std::nullopt;
    }
  }
  const Block& block = head_.blocks.front();
  const char* const raw = block.packed.data() + block.read;
  const auto type = static_cast<LogType>(raw[0]);
  RowSize size = 0;
  std::memcpy(&size, raw + 1, sizeof(size));
  if ((only && *only != type) || size > room) {
    return std::nullopt;
  }
  read_row(head_, size);
  return Row{.type = type, .text = {raw + k_header, size}, .notice = false};
}

void LogBacklog::read_row(Rows& rows, std::size_t text_size) {
  Block& block = rows.blocks.front();
  block.read += k_header + text_size;
  --block.rows;
  block.bytes -= text_size + 1;
  block.size -= k_header + text_size;
  --rows.rows;
  rows.bytes -= text_size + 1;
  rows.size -= k_header + text_size;
}

/// A block that has been read stays until the next call: the last row's text is in it.
void LogBacklog::forget_read(Rows& rows) {
  while (!rows.blocks.empty() && rows.blocks.front().rows == 0) {
    rows.blocks.pop_front();
  }
}

void LogBacklog::shrink(Rows& rows, std::uint64_t size, Gap& gap) {
  while (rows.size > size) {
    forget_read(rows);
    Block& block = rows.blocks.front();
    if (rows.size - block.size >= size || !load_front(rows)) {
      drop_front_block(rows, gap);
      continue;
    }
    RowSize text = 0;
    std::memcpy(&text, block.packed.data() + block.read + 1, sizeof(text));
    count(gap, 1, text + 1);
    read_row(rows, text);
  }
}

void LogBacklog::drop_front_block(Rows& rows, Gap& gap) {
  const Block& block = rows.blocks.front();
  count(gap, block.rows, block.bytes);
  rows.rows -= block.rows;
  rows.bytes -= block.bytes;
  rows.size -= block.size;
  if (block.slot) {
    file_->free(*block.slot);
  }
  rows.blocks.pop_front();
}

void LogBacklog::count(Gap& gap, std::uint64_t rows, std::uint64_t bytes) {
  gap.rows += rows;
  gap.bytes += bytes;
  dropped_ += rows;
}

void LogBacklog::keep_newest(std::size_t bytes, std::string_view why) {
  front_gap_.why = why;
  if (tail_.rows > 0 || gap_.rows > 0) {
    shrink(head_, 0, front_gap_);
    front_gap_.rows += gap_.rows;
    front_gap_.bytes += gap_.bytes;
    gap_ = {};
    head_ = std::exchange(tail_, {});
    open_ = !limited_;
  }
  limit_told_ = true;
  shrink(head_, bytes, front_gap_);
}

void LogBacklog::give_up(std::uint64_t rows, std::uint64_t bytes, std::string_view why) {
  front_gap_.why = why;
  count(front_gap_, rows, bytes);
}

void LogBacklog::clear() {
  keep_newest(0, {});
  front_gap_ = {};
}

std::optional<Error> LogBacklog::fault() {
  return std::exchange(fault_, std::nullopt);
}

}  // namespace builder::report
