#include "app/cli/view/excerpt.hpp"
#include "app/cli/view/rows.hpp"
#include "base/size.hpp"
#include "base/text.hpp"
#include "domain/closing_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::app::cli {

namespace {

using Rows = std::vector<std::string>;

/// Prose, broken between words where the terminal ends; a word that is longer is left to it.
void add_text(const Terminal& terminal, std::string_view text, std::size_t indent, Rows& rows) {
  std::string row(indent, ' ');
  std::size_t columns = indent;
  bool is_empty = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const std::size_t width = width_of(word);
    if (!is_empty && width >= terminal.columns - std::min(terminal.columns, columns)) {
      rows.push_back(std::exchange(row, std::string(indent, ' ')));
      columns = indent;
      is_empty = true;
    }
    row += is_empty ? "" : " ";
    row += word;
    columns += width + (is_empty ? 0 : 1);
    is_empty = false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  rows.push_back(std::move(row));
}

void add_output(const Terminal& terminal, const FailedRun& run, Rows& rows) {
  if (run.output.empty()) {
    return;
  }
  rows.emplace_back();
  rows.push_back(styled(terminal, Style::bold, fitted("Output of " + run.name, terminal.columns)));
  if (const std::uint64_t left_out = run.output.left_out(); left_out > 0) {
    rows.push_back(styled(terminal, Style::dim,
                          fmt::format("(the first {} are left out)", bytes_in_words(left_out))));
  }
  std::ranges::move(run.output.all(), std::back_inserter(rows));
  if (!run.error.empty()) {
    rows.push_back(styled(terminal, Style::bad, run.error));
  }
}

void add_place(const Terminal& terminal, const std::string& result, const SourceReader& source,
               Rows& errors, Rows& rows) {
  const SourceRange range = source_range_of(result);
  Rows excerpt = take_excerpt(errors, range.file);
  if (excerpt.empty() && range.first > 0 && source) {
    if (const auto text = source(range.file)) {
      excerpt = excerpt_of(*text, range);
    }
  }
  if (!excerpt.empty()) {
    rows.emplace_back();
  }
  for (const std::string& row : excerpt) {
    rows.push_back(row.contains("| >>> ") ? styled(terminal, Style::bad, row) : row);
  }
}

void add_warnings(const Terminal& terminal, const BuildModel& model, Rows& rows) {
  if (model.warnings().empty()) {
    return;
  }
  rows.emplace_back();
  rows.push_back(styled(
      terminal, Style::warning,
      model.all_warnings() == 1 ? "1 warning" : fmt::format("{} warnings", model.all_warnings())));
  for (const std::string& warning : model.warnings()) {
    add_text(terminal, warning, 2, rows);
  }
  if (const std::size_t more = model.all_warnings() - model.warnings().size(); more > 0) {
    rows.push_back(fmt::format("  and {} more", more));
  }
}

/// The row in which the log names the step whose output is shown.
bool is_said(const std::string& row, const BuildModel& model) {
  return row.starts_with("Step ") &&
         std::ranges::any_of(model.failed_runs(), [&](const FailedRun& run) {
           return !run.output.empty() && row.ends_with(" failed: " + run.name);
         });
}

void add_fact(const std::string& name, const std::string& value, Rows& rows) {
  if (!value.empty()) {
    rows.push_back(domain::closing_row(name, value));
  }
}

void add_summary(const Terminal& terminal, const BuildSummary& summary, Rows& rows) {
  const std::string time = time_in_words(summary.total);
  std::string head;
  switch (summary.end) {
    case BuildEnd::succeeded:
      head = styled(terminal, Style::good, "Built in " + time);
      break;
    case BuildEnd::failed:
      head = styled(terminal, Style::bad, "Failed after " + time);
      break;
    case BuildEnd::aborted:
      head = styled(terminal, Style::warning, "Aborted after " + time);
      break;
  }
  const std::string result = printable_line(summary.result);
  rows.emplace_back();
  add_text(terminal, result.empty() ? head : head + ": " + result, 0, rows);
  for (const std::string& detail : summary.details) {
    add_text(terminal, printable_line(detail), 2, rows);
  }
  domain::BuildFigures figures;
  if (summary.end == BuildEnd::succeeded) {
    for (const std::string& image : summary.images) {
      add_fact(&image == &summary.images.front() ? "image" : "", printable_line(image), rows);
    }
    add_fact("digest", printable_line(summary.digest), rows);
    figures.size = summary.size;
    figures.context_bytes = summary.context_bytes;
  }
  if (summary.end != BuildEnd::aborted) {
    for (const StepSummary& step : summary.steps) {
      figures.steps.add(step.name, step.duration, step.cached);
    }
  }
  for (const std::string& row : domain::closing_rows(figures)) {
    rows.push_back(fitted(row, terminal.columns));
  }
}

}  // namespace

std::vector<std::string> closing_rows(const Terminal& terminal, const BuildModel& model,
                                      const BuildSummary& summary, const SourceReader& source) {
  Rows rows;
  if (summary.end == BuildEnd::failed) {
    for (const FailedRun& run : model.failed_runs()) {
      add_output(terminal, run, rows);
    }
    Rows errors = model.errors();
    std::erase_if(errors, [&](const std::string& row) { return is_said(row, model); });
    Rows place;
    add_place(terminal, printable_line(summary.result), source, errors, place);
    if (!errors.empty()) {
      rows.emplace_back();
      std::ranges::move(errors, std::back_inserter(rows));
    }
    std::ranges::move(place, std::back_inserter(rows));
  }
  add_warnings(terminal, model, rows);
  add_summary(terminal, summary, rows);
  return rows;
}

}  // namespace builder::app::cli
