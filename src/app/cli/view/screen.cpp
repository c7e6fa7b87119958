#include "app/cli/view/screen.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace builder::app::cli {

namespace {

/// The terminal shows nothing until the end, has no cursor, and breaks no row: a character that it
/// takes for wider than we do must not move what is below.
constexpr std::string_view k_begin = "\x1b[?2026h\x1b[?25l\x1b[?7l";
constexpr std::string_view k_break_rows = "\x1b[?7h";
constexpr std::string_view k_end = "\x1b[?25h\x1b[?2026l";
constexpr std::string_view k_erase_row = "\x1b[K";
constexpr std::string_view k_erase_below = "\x1b[J";

/// A row over another one. What is behind it is erased afterwards, since the other order may
/// flicker. A full row is the exception: erasing behind it would take its last character, and
/// without it the terminal could take the row for one that it has broken itself.
void put(const Terminal& terminal, const std::string& row, std::string& bytes) {
  const bool is_full = width_of(row) >= terminal.columns;
  bytes += is_full ? k_erase_row : "";
  bytes += row;
  bytes += is_full ? "" : k_erase_row;
  bytes += "\r\n";
}

}  // namespace

std::string Screen::to_first_row(const Terminal& terminal) const {
  std::size_t rows = 0;
  for (const std::string& row : drawn_) {
    const bool is_broken = terminal.reflows && terminal.columns < columns_;
    rows += is_broken ? std::max<std::size_t>(
                            1, (width_of(row) + terminal.columns - 1) / terminal.columns)
                      : 1;
  }
  return rows == 0 ? "\r" : fmt::format("\r\x1b[{}A", rows);
}

std::string Screen::frame(const Terminal& terminal, const std::vector<std::string>& above,
                          const std::vector<std::string>& live) {
  if (above.empty() && live == drawn_ && terminal.columns == columns_) {
    return {};
  }
  std::string bytes(k_begin);
  bytes += to_first_row(terminal);
  for (const std::string& row : above) {
    put(terminal, row, bytes);
  }
  for (const std::string& row : live) {
    put(terminal, row, bytes);
  }
  bytes += k_erase_below;
  bytes += k_break_rows;
  bytes += k_end;
  drawn_ = live;
  columns_ = terminal.columns;
  return bytes;
}

std::string Screen::end(const Terminal& terminal, const std::vector<std::string>& above,
                        const std::vector<std::string>& closing) {
  std::string bytes(k_begin);
  bytes += to_first_row(terminal);
  for (const std::string& row : above) {
    put(terminal, row, bytes);
  }
  bytes += k_erase_below;
  bytes += k_break_rows;
  for (const std::string& row : closing) {
    bytes += row;
    bytes += "\r\n";
  }
  bytes += k_end;
  drawn_.clear();
  return bytes;
}

}  // namespace builder::app::cli
