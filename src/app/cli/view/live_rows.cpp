#include "app/cli/view/rows.hpp"
#include "base/size.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace builder::app::cli {

namespace {

using namespace std::chrono_literals;

/// Rows wider than this are hard to read: the time would be far from its step.
constexpr std::size_t k_widest_row = 120;
/// Of the output of one step.
constexpr std::size_t k_most_rows = 6;
constexpr std::string_view k_output = "  | ";

/// A row with its time at the right, the text cut where it meets the time.
std::string with_time(const Terminal& terminal, std::string_view mark, Style style,
                      std::string_view text, const std::string& time) {
  const std::size_t columns = std::min(terminal.columns, k_widest_row);
  const std::size_t taken = width_of(mark) + 1 + width_of(time) + 1;
  const std::size_t room = columns - std::min(columns - 1, taken);
  const std::string shown = fitted(text, room);
  return fmt::format("{} {}{} {}", styled(terminal, style, mark), shown,
                     std::string(room - std::min(room, width_of(shown)), ' '),
                     styled(terminal, Style::dim, time));
}

/// As many of the pieces as fit, the first ones being the most important.
std::string joined_to_fit(const std::vector<std::string>& pieces, std::size_t columns) {
  std::string row;
  for (const std::string& piece : pieces) {
    std::string longer = row.empty() ? piece : row + ", " + piece;
    if (!row.empty() && width_of(longer) > columns) {
      break;
    }
    row = std::move(longer);
  }
  return fitted(row, columns);
}

std::string whole_seconds(SteadyTime::duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return seconds < 1min ? fmt::format("{}s", std::max<std::int64_t>(seconds.count(), 0))
                        : time_in_words(seconds);
}

/// "extracting sha256:3b1d2cc8a6a1", "transferring context".
std::string part_in_words(const std::string& name) {
  constexpr std::string_view k_digest = "sha256:";
  constexpr std::size_t k_short = 12;
  std::string words = printable_line(name);
  if (const std::size_t at = words.find(k_digest); at != std::string::npos) {
    words.resize(std::min(words.size(), at + k_digest.size() + k_short));
  }
  words.erase(words.find_last_not_of(": ") + 1);
  return words;
}

/// What a step moves; empty: nothing.
std::string transfer_row(const RunningStep& step, SteadyTime now, std::size_t columns) {
  const TransferState all = step.transfers();
  if (all.parts == 0) {
    return {};
  }
  std::vector<std::string> pieces;
  if (all.current > 0) {
    const bool is_whole = all.total > 0;
    pieces.push_back(is_whole
                         ? fmt::format("{} of {} ({} %)", bytes_in_words(all.current),
                                       bytes_in_words(all.total), all.current * 100 / all.total)
                         : bytes_in_words(all.current));
    if (const double rate = step.rate(now); rate >= 1) {
      pieces.push_back(bytes_in_words(static_cast<std::uint64_t>(rate)) + "/s");
    }
  }
  if (all.parts > 1) {
    pieces.push_back(fmt::format("{} of {} done", all.done, all.parts));
  }
  if (!all.part.empty()) {
    pieces.push_back(part_in_words(all.part));
  }
  return joined_to_fit(pieces, columns);
}

/// What a step shows below its head: at most `k_most_rows`, the last one being the newest.
std::vector<std::string> block_of(const Terminal& terminal, const RunningStep& step,
                                  SteadyTime now) {
  const std::size_t columns = terminal.columns - k_output.size();
  std::vector<std::string> rows;
  if (std::string transfer = transfer_row(step, now, columns); !transfer.empty()) {
    rows.push_back(std::move(transfer));
  }
  for (const std::string& row : step.output().last(k_most_rows - rows.size())) {
    rows.push_back(fitted(row, columns));
  }
  return rows;
}

/// How many of its rows each block may show: the same for all, and what one does not need goes to
/// the others.
std::vector<std::size_t> shares(const std::vector<std::vector<std::string>>& blocks,
                                std::size_t room) {
  std::vector<std::size_t> given(blocks.size());
  for (bool is_any = true; is_any && room > 0;) {
    is_any = false;
    for (std::size_t i = 0; i < blocks.size() && room > 0; ++i) {
      if (given[i] < blocks[i].size()) {
        ++given[i];
        --room;
        is_any = true;
      }
    }
  }
  return given;
}

std::string last_row(const Terminal& terminal, const BuildModel& model, std::size_t running,
                     SteadyTime now) {
  std::vector<std::string> pieces{whole_seconds(now - model.began())};
  if (running > 0) {
    pieces.push_back(fmt::format("{} running", running));
  }
  if (model.ended() > 0) {
    pieces.push_back(counted(model.ended(), "step") + " done");
  }
  if (model.cached() > 0) {
    pieces.push_back(fmt::format("{} cached", model.cached()));
  }
  if (model.all_warnings() > 0) {
    pieces.push_back(counted(model.all_warnings(), "warning"));
  }
  return styled(terminal, Style::bold, joined_to_fit(pieces, terminal.columns));
}

/// The engine's bookkeeping is shown when it takes its time.
bool is_shown(const RunningStep& step, SteadyTime now) {
  if (step.is_waiting()) {
    return false;
  }
  return !is_internal(step.name()) || now - step.began() >= 1s;
}

}  // namespace

std::string history_row(const Terminal& terminal, const HistoryRow& row) {
  using Kind = HistoryRow::Kind;
  const std::string time = time_in_words(row.duration);
  switch (row.kind) {
    case Kind::done:
      return with_time(terminal, "✓", Style::good, row.text, time);
    case Kind::cached:
      return with_time(terminal, "✓", Style::good, row.text, "cached");
    case Kind::failed:
      return with_time(terminal, "✗", Style::bad, row.text, time);
    case Kind::stopped:
      return with_time(terminal, "-", Style::dim, row.text, "stopped");
    case Kind::message:
      break;
  }
  return styled(terminal, Style::dim, fitted("  " + row.text, terminal.columns));
}

std::vector<std::string> live_rows(const Terminal& terminal, const BuildModel& model,
                                   SteadyTime now) {
  std::vector<const RunningStep*> steps;
  for (const auto& [number, step] : model.running()) {
    if (is_shown(step, now)) {
      steps.push_back(&step);
    }
  }
  // One row is the cursor's, one counts.
  std::size_t room = terminal.rows - std::min<std::size_t>(terminal.rows, 2);
  const std::size_t all = steps.size();
  if (all > room) {
    steps.resize(room - std::min<std::size_t>(room, 1));
  }
  std::vector<std::vector<std::string>> blocks;
  blocks.reserve(steps.size());
  for (const RunningStep* step : steps) {
    blocks.push_back(block_of(terminal, *step, now));
  }
  std::vector<std::string> rows;
  const bool has_activity = !model.activity().empty() && room > all;
  const std::vector<std::size_t> given =
      shares(blocks, all > room ? 0 : room - all - (has_activity ? 1 : 0));
  for (std::size_t i = 0; i < steps.size(); ++i) {
    rows.push_back(with_time(terminal, "▸", Style::bold, steps[i]->name(),
                             whole_seconds(now - steps[i]->began())));
    for (std::size_t row = blocks[i].size() - given[i]; row < blocks[i].size(); ++row) {
      rows.push_back(styled(terminal, Style::dim, std::string(k_output) + blocks[i][row]));
    }
  }
  if (steps.size() < all && room > 0) {
    rows.push_back(fitted(fmt::format("  and {} more", all - steps.size()), terminal.columns));
  }
  if (has_activity) {
    rows.push_back(fitted("▸ " + model.activity(), terminal.columns));
  }
  rows.push_back(last_row(terminal, model, all, now));
  return rows;
}

}  // namespace builder::app::cli
