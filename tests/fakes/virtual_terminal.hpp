#pragma once

#include "app/cli/terminal.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::fakes {

/// What a person sees: the screen and the scrollback of a terminal that gets these bytes. It knows
/// what the program may send; everything else is a fault.
class VirtualTerminal {
 public:
  /// `reflows`: a row that was broken at the right edge is broken anew when the width changes.
  VirtualTerminal(std::size_t columns, std::size_t rows, bool reflows = true)
      : columns_(columns), height_(rows), reflows_(reflows), screen_(rows) {}

  void write(std::string_view bytes) {
    pending_ += bytes;
    std::string_view rest = pending_;
    while (!rest.empty()) {
      const std::size_t taken = take(rest);
      if (taken == 0) {
        break;  // Goes on in the next piece.
      }
      rest.remove_prefix(taken);
    }
    pending_ = std::string(rest);
  }

  void resize(std::size_t columns, std::size_t rows) {
    if (reflows_ && columns != columns_) {
      reflow(columns);
    }
    for (Row& row : screen_) {
      if (width(row) > columns) {
        row.cells.resize(columns);
      }
    }
    columns_ = columns;
    column_ = std::min(column_, columns - 1);
    fit_height(rows);
  }

  /// Rows without the blanks at their ends, and without the empty rows at the bottom.
  [[nodiscard]] std::vector<std::string> screen() const {
    std::vector<std::string> rows;
    for (const Row& row : screen_) {
      rows.push_back(text(row));
    }
    while (!rows.empty() && rows.back().empty()) {
      rows.pop_back();
    }
    return rows;
  }

  [[nodiscard]] std::vector<std::string> scrollback() const {
    std::vector<std::string> rows;
    for (const Row& row : scrollback_) {
      rows.push_back(text(row));
    }
    return rows;
  }

  /// Scrollback and screen.
  [[nodiscard]] std::vector<std::string> all() const {
    std::vector<std::string> rows = scrollback();
    std::ranges::move(screen(), std::back_inserter(rows));
    return rows;
  }

  /// The same with rows that were broken at the right edge put together again.
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    bool goes_on = false;
    for (const std::vector<Row>* rows : {&scrollback_, &screen_}) {
      for (const Row& row : *rows) {
        if (!goes_on) {
          lines.emplace_back();
        }
        for (const std::string& cell : row.cells) {
          lines.back() += cell;
        }
        goes_on = row.goes_on;
      }
    }
    return lines;
  }

  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }

  [[nodiscard]] bool has_cursor() const { return has_cursor_; }

  [[nodiscard]] std::size_t cursor_row() const { return row_; }

  [[nodiscard]] std::size_t cursor_column() const { return column_; }

  /// Nothing is left switched on or unfinished.
  [[nodiscard]] bool is_at_rest() const {
    return has_cursor_ && breaks_rows_ && !holds_ && style_.empty() && pending_.empty();
  }

  [[nodiscard]] std::size_t columns() const { return columns_; }

  [[nodiscard]] std::size_t rows() const { return height_; }

 private:
  /// Of a wide character the second cell is empty.
  struct Row {
    std::vector<std::string> cells;
    bool goes_on = false;  ///< Broken at the right edge.
  };

  static std::size_t width(const Row& row) { return row.cells.size(); }

  static std::string text(const Row& row) {
    std::string all;
    for (const std::string& cell : row.cells) {
      all += cell;
    }
    all.erase(all.find_last_not_of(' ') + 1);
    return all;
  }

  /// Takes one character or sequence; 0: it is not complete.
  std::size_t take(std::string_view bytes) {
    const char first = bytes.front();
    if (first == '\x1b') {
      if (bytes.size() < 2) {
        return 0;
      }
      if (bytes[1] != '[') {
        fault("escape", bytes.substr(0, 2));
        return 2;
      }
      const auto last =
          std::ranges::find_if(bytes.substr(2), [](char c) { return c >= '@' && c <= '~'; });
      if (last == bytes.end()) {
        return 0;
      }
      const auto size = static_cast<std::size_t>(last - bytes.begin()) + 1;
      sequence(bytes.substr(2, size - 3), *last);
      return size;
    }
    if (first == '\r') {
      column_ = 0;
      break_due_ = false;
      return 1;
    }
    if (first == '\n') {
      break_due_ = false;
      down();
      return 1;
    }
    const Character character = first_character(bytes);
    if (!character.valid && bytes.size() < character_length(static_cast<unsigned char>(first))) {
      return 0;
    }
    if (!character.valid || character.code < 0x20 || character.code == 0x7F ||
        is_hidden(character.code)) {
      fault("character", character.bytes);
    } else {
      put(character.bytes);
    }
    return character.bytes.size();
  }

  void sequence(std::string_view parameters, char last) {
    if (last == 'm') {
      style_ = parameters == "0" ? "" : std::string(parameters);
    } else if (last == 'A') {
      const auto rows = static_cast<std::size_t>(std::stoul(std::string(parameters)));
      row_ -= std::min(row_, rows);
      break_due_ = false;
    } else if (last == 'J' && parameters.empty()) {
      erase_behind();
      for (std::size_t i = row_ + 1; i < screen_.size(); ++i) {
        screen_[i] = {};
      }
    } else if (last == 'K' && parameters.empty()) {
      erase_behind();
    } else if ((last == 'h' || last == 'l') && parameters == "?25") {
      has_cursor_ = last == 'h';
    } else if ((last == 'h' || last == 'l') && parameters == "?7") {
      breaks_rows_ = last == 'h';
    } else if ((last == 'h' || last == 'l') && parameters == "?2026") {
      holds_ = last == 'h';
    } else {
      fault("sequence", std::string(parameters) + last);
    }
  }

  void erase_behind() {
    Row& row = screen_[row_];
    row.goes_on = false;
    // A terminal whose cursor waits at the edge erases the last character.
    row.cells.resize(std::min(row.cells.size(), column_));
  }

  void put(std::string_view character) {
    const std::size_t columns = app::cli::width_of(character);
    if (columns == 0) {
      std::vector<std::string>& cells = screen_[row_].cells;
      const std::size_t at = break_due_ ? cells.size() : std::min(column_, cells.size());
      for (std::size_t i = at; i > 0; --i) {
        if (!cells[i - 1].empty()) {
          cells[i - 1] += character;
          return;
        }
      }
      return;
    }
    if (break_due_ || column_ + columns > columns_) {
      if (breaks_rows_) {
        screen_[row_].goes_on = true;
        column_ = 0;
        down();
      } else {
        column_ = columns_ - std::min(columns_, columns);
      }
      break_due_ = false;
    }
    std::vector<std::string>& cells = screen_[row_].cells;
    cells.resize(std::max(cells.size(), column_ + columns), " ");
    cells[column_] = character;
    for (std::size_t i = 1; i < columns; ++i) {
      cells[column_ + i].clear();
    }
    if (column_ + columns >= columns_) {
      column_ = columns_ - 1;
      break_due_ = true;
    } else {
      column_ += columns;
    }
  }

  void down() {
    if (++row_ == height_) {
      scrollback_.push_back(std::move(screen_.front()));
      screen_.erase(screen_.begin());
      screen_.emplace_back();
      --row_;
    }
  }

  void reflow(std::size_t columns) {
    std::vector<Row> rows = std::exchange(scrollback_, {});
    const std::size_t cursor = rows.size() + row_;
    std::ranges::move(screen_, std::back_inserter(rows));
    std::vector<Row> broken;
    std::size_t cursor_now = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i == cursor) {
        cursor_now = broken.size();
      }
      std::vector<std::string> cells = std::move(rows[i].cells);
      while (rows[i].goes_on && i + 1 < rows.size()) {
        ++i;
        std::ranges::move(rows[i].cells, std::back_inserter(cells));
        if (i == cursor) {
          cursor_now = broken.size() + cells.size() / columns;
        }
      }
      do {
        std::size_t taken = std::min(columns, cells.size());
        if (taken < cells.size() && taken > 1 && cells[taken].empty()) {
          --taken;  // A wide character goes on as a whole.
        }
        const auto end = cells.begin() + static_cast<std::ptrdiff_t>(taken);
        broken.push_back({.cells = {cells.begin(), end}, .goes_on = taken < cells.size()});
        cells.erase(cells.begin(), end);
      } while (!cells.empty());
    }
    while (broken.size() > cursor_now + 1 && broken.back().cells.empty()) {
      broken.pop_back();
    }
    const std::size_t shown = std::min(height_, broken.size());
    const auto top = broken.end() - static_cast<std::ptrdiff_t>(shown);
    scrollback_.assign(broken.begin(), top);
    screen_.assign(top, broken.end());
    screen_.resize(height_);
    row_ = cursor_now - std::min(cursor_now, scrollback_.size());
  }

  void fit_height(std::size_t rows) {
    while (screen_.size() > rows) {
      if (row_ + 1 < screen_.size()) {
        screen_.pop_back();
      } else {
        scrollback_.push_back(std::move(screen_.front()));
        screen_.erase(screen_.begin());
        --row_;
      }
    }
    while (screen_.size() < rows) {
      if (reflows_ && !scrollback_.empty()) {
        screen_.insert(screen_.begin(), std::move(scrollback_.back()));
        scrollback_.pop_back();
        ++row_;
      } else {
        screen_.emplace_back();
      }
    }
    height_ = rows;
  }

  void fault(const std::string& kind, std::string_view what) {
    std::string hex;
    for (const char c : what) {
      constexpr std::string_view k_digits = "0123456789abcdef";
      hex += k_digits[static_cast<unsigned char>(c) / 16];
      hex += k_digits[static_cast<unsigned char>(c) % 16];
    }
    faults_.push_back(kind + " " + hex);
  }

  std::size_t columns_;
  std::size_t height_;
  bool reflows_;
  std::vector<Row> screen_;
  std::vector<Row> scrollback_;
  std::size_t row_ = 0;
  std::size_t column_ = 0;
  bool break_due_ = false;  ///< The cursor waits at the right edge.
  bool breaks_rows_ = true;
  bool has_cursor_ = true;
  bool holds_ = false;
  std::string style_;
  std::string pending_;
  std::vector<std::string> faults_;
};

}  // namespace builder::fakes
