#include "app/cli/view/output_rows.hpp"

#include "app/cli/terminal.hpp"
#include "base/text.hpp"
#include "domain/log_text.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_tab = 8;

std::string shown_output(std::string_view row) {
  static const auto nothing_secret = std::make_shared<const Redactor>(std::vector<NamedSecret>{});
  // Nearly all rows are plain, and of a failing step there may be half a million.
  const bool is_plain = std::ranges::all_of(row, [](char c) { return c >= 0x20 && c < 0x7F; });
  std::string text = is_plain ? std::string(row) : domain::shown_line(nothing_secret, row);
  for (std::size_t at = text.find('\t'); at != std::string::npos; at = text.find('\t', at)) {
    const std::size_t column = width_of(std::string_view(text).substr(0, at));
    text.replace(at, 1, k_tab - column % k_tab, ' ');
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

}  // namespace

void OutputRows::feed(std::string_view chunk, bool is_stderr) {
  Row& row = open_.at(is_stderr ? 1 : 0);
  while (!chunk.empty()) {
    const std::size_t plain = std::min(chunk.find_first_of("\r\n"), chunk.size());
    if (plain > 0) {
      take(row, chunk.substr(0, plain));
      chunk.remove_prefix(plain);
      continue;
    }
    if (chunk.front() == '\n') {
      end(row);
    } else {
      row.after_return = true;
    }
    chunk.remove_prefix(1);
  }
}

void OutputRows::take(Row& row, std::string_view text) {
  if (std::exchange(row.after_return, false)) {
    row.text.clear();
  }
  while (row.text.size() + text.size() > k_longest_row) {
    const std::string_view fits = truncate_bytes(text, k_longest_row - row.text.size());
    row.text += fits;
    text.remove_prefix(fits.size());
    end(row);
  }
  row.text += text;
}

void OutputRows::end(Row& row) {
  ended_ += row.text;
  ended_ += '\n';
  row = {};
  // Not with every row: the rest has to move.
  if (ended_.size() > 2 * k_kept) {
    const std::size_t begin = begin_of_kept();
    dropped_ += begin;
    ended_.erase(0, begin);
  }
}

std::size_t OutputRows::begin_of_kept() const {
  return ended_.size() <= k_kept ? 0 : ended_.find('\n', ended_.size() - k_kept - 1) + 1;
}

std::vector<std::string> OutputRows::last(std::size_t rows) const {
  std::vector<std::string> found;
  const auto add = [&](std::string_view row) {
    if (std::string text = shown_output(row); !text.empty() && found.size() < rows) {
      found.push_back(std::move(text));
    }
  };
  add(open_[1].text);
  add(open_[0].text);
  std::string_view rest = ended_;
  while (!rest.empty() && found.size() < rows) {
    rest.remove_suffix(1);
    const std::size_t begin = rest.rfind('\n') + 1;  // npos + 1 is 0.
    add(rest.substr(begin));
    rest = rest.substr(0, begin);
  }
  std::ranges::reverse(found);
  return found;
}

std::vector<std::string> OutputRows::all() const {
  std::vector<std::string> rows;
  for (std::string_view rest = std::string_view(ended_).substr(begin_of_kept()); !rest.empty();) {
    const std::size_t end = rest.find('\n');
    rows.push_back(shown_output(rest.substr(0, end)));
    rest.remove_prefix(end + 1);
  }
  for (const Row& row : open_) {
    if (!row.text.empty()) {
      rows.push_back(shown_output(row.text));
    }
  }
  return rows;
}

bool OutputRows::empty() const {
  return ended_.empty() && open_[0].text.empty() && open_[1].text.empty();
}

std::uint64_t OutputRows::left_out() const {
  return dropped_ + begin_of_kept();
}

}  // namespace builder::app::cli
