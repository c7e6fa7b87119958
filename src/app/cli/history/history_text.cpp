#include "app/cli/history/history_text.hpp"

#include "app/cli/queue/queue_text.hpp"
#include "app/cli/view/output_lines.hpp"
#include "app/cli/view/rows.hpp"
#include "base/iso_time.hpp"
#include "base/size.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace builder::app::cli {

namespace {

using std::chrono::milliseconds;

constexpr const char* k_none = "-";

std::string or_none(std::string text) {
  return text.empty() ? k_none : std::move(text);
}

Style style_of(std::string_view outcome) {
  return outcome == "builded"                                ? Style::good
         : outcome == "failed"                               ? Style::bad
         : outcome == "cancelled" || outcome == "superseded" ? Style::plain
                                                             : Style::warning;
}

std::string outcome_of(const Terminal& terminal, const ports::KeptRun& run) {
  return styled(terminal, style_of(run.end.outcome), or_none(name_cell(run.end.outcome)));
}

milliseconds age_of(const ports::KeptRun& run, ports::HistoryTime now) {
  return std::max(now - run.started, milliseconds(0));
}

/// How long it took, or has by now; of a run that nobody ended it is not known.
std::string took(const ports::KeptRun& run, ports::HistoryTime now) {
  if (run.ended) {
    return time_in_words(std::max(*run.ended - run.started, milliseconds(0)));
  }
  return run.end.outcome == ports::k_running ? time_in_words(age_of(run, now)) : k_none;
}

std::string why(const ports::KeptRun& run) {
  return printable_line(run.end.line.empty() ? run.end.reason : run.end.line);
}

/// The source in one text: https://github.com/octo/hello@main, Dockerfile
std::string source_of(const ports::RunStart& start) {
  std::string text = printable_line(start.repository);
  if (!start.branch.empty()) {
    text += "@" + name_cell(start.branch);
  }
  return start.dockerfile.empty() ? text : text + ", " + printable_line(start.dockerfile);
}

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name_cell(name);
  }
  return text;
}

std::string bytes_of(const ports::RunEnd& end) {
  std::string text;
  if (end.context_bytes > 0) {
    text = bytes_in_words(end.context_bytes) + " sent to the engine";
  }
  if (end.pushed_bytes > 0) {
    text += (text.empty() ? "" : ", ") + bytes_in_words(end.pushed_bytes) + " pushed";
  }
  return text;
}

std::string step_time(const ports::RunStep& step) {
  return step.cached   ? "cached"
         : step.failed ? "failed after " + time_in_words(step.duration)
                       : time_in_words(step.duration);
}

/// A safe row, as `LineAssembler` shows it, with its colours.
std::string coloured_row(std::string_view text) {
  std::string row;
  domain::LineAssembler lines(std::make_shared<const Redactor>(std::vector<NamedSecret>()),
                              [&](const std::string& part) { row += part; });
  lines.feed(text);
  lines.finish();
  return row.contains('\x1b') ? row + "\x1b[0m" : row;
}

Style style_of(domain::LogType type) {
  return type == domain::LogType::error     ? Style::bad
         : type == domain::LogType::warning ? Style::warning
         : type == domain::LogType::info    ? Style::dim
                                            : Style::plain;
}

}  // namespace

std::optional<ports::HistoryTime> parse_since(std::string_view text, ports::HistoryTime now) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, text.data() + text.size());
  const std::int64_t seconds = unit == "s"   ? 1
                               : unit == "m" ? 60
                               : unit == "h" ? 3'600
                               : unit == "d" ? 86'400
                                             : 0;
  constexpr std::int64_t k_longest = std::int64_t{100} * 366 * 86'400;
  if (error == std::errc() && seconds > 0) {
    return count >= 0 && count <= k_longest / seconds
               ? std::optional(now - std::chrono::seconds(count * seconds))
               : std::nullopt;
  }
  return parse_iso_time(text);
}

std::string list_text(const Terminal& terminal, const std::vector<ports::KeptRun>& runs,
                      ports::HistoryTime now) {
  if (runs.empty()) {
    return "No build is in the history.\n";
  }
  TableRows rows{{"DEPLOYMENT", "SERVICE", "OUTCOME", "AGE", "TOOK", "CACHED", "WORKER", "REASON"}};
  for (const ports::KeptRun& run : runs) {
    rows.push_back({name_cell(run.start.deployment.str()),
                    or_none(name_cell(run.start.service.str())), outcome_of(terminal, run),
                    short_age(age_of(run, now)), took(run, now),
                    run.steps == 0 ? k_none : fmt::format("{}/{}", run.cached, run.steps),
                    or_none(name_cell(run.start.worker)), why(run)});
  }
  return table(terminal, rows);
}

std::string run_text(const Terminal& terminal, const ports::KeptRunDetails& details,
                     const std::vector<ports::KeptRow>& tail, ports::HistoryTime now) {
  const ports::KeptRun& run = details.run;
  const ports::RunEnd& end = run.end;
  std::string text = "\n";
  const auto line = [&](std::string_view label, const std::string& value) {
    if (!value.empty()) {
      text += styled(terminal, Style::dim, fmt::format("{:<13}", label)) + value + "\n";
    }
  };
  const std::string worker = or_none(name_cell(run.start.worker));
  line("Attempt", run.start.attempt == 0 ? "none here; its end was reported by " + worker
                                         : fmt::format("{} on {}", run.start.attempt, worker));
  line("Began", fmt::format("{} ({} ago)", clock_time(run.started), short_age(age_of(run, now))));
  line("Took", took(run, now));
  line("Outcome", outcome_of(terminal, run) +
                      (end.category.empty() ? "" : ", category " + name_cell(end.category)) +
                      (end.reason.empty() ? "" : ", " + printable_line(end.reason)));
  line("Failure", printable_line(end.line));
  line("Suggestion", printable_line(end.advice));
  line("Source", run.start.repository.empty() ? "" : source_of(run.start));
  line("Commit", printable_line(end.commit));
  line("Image", printable_line(end.image));
  line("Digest", printable_line(end.digest));
  line("Bytes", bytes_of(end));
  line("Engine", printable_line(run.start.engine));
  line("Variables", names_of(run.start.variables));
  for (std::size_t i = 0; i < details.bases.size(); ++i) {
    line(i == 0 ? "Bases" : "",
         printable_line(details.bases[i].first) + " " + printable_line(details.bases[i].second));
  }
  TableRows phases{{"PHASE", "TOOK"}};
  for (const auto& [name, duration] : details.phases) {
    phases.push_back({name_cell(name), duration.count() == 0 ? k_none : time_in_words(duration)});
  }
  if (phases.size() > 1) {
    text += "\n" + table(terminal, phases);
  }
  TableRows steps{{"TOOK", "STEP"}};
  for (const ports::RunStep& step : details.steps) {
    const Style style = step.failed ? Style::bad : step.cached ? Style::dim : Style::plain;
    steps.push_back(
        {styled(terminal, style, step_time(step)), or_none(printable_columns(step.name))});
  }
  if (steps.size() > 1) {
    text += "\n" + table(terminal, steps);
    if (run.steps > details.steps.size()) {
      text += fmt::format("… and {} more\n", run.steps - details.steps.size());
    }
  }
  if (!tail.empty()) {
    text += "\n" + styled(terminal, Style::bold, "The log ends with") + "\n";
    for (const ports::KeptRow& row : tail) {
      text += fitted("  | " + shown_row(row.line), terminal.columns) + "\n";
    }
  }
  return text;
}

std::string log_row_text(const Terminal& terminal, const ports::KeptRow& row, bool timestamps) {
  const std::string text = terminal.colour
                               ? styled(terminal, style_of(row.type), coloured_row(row.line))
                               : domain::without_colours(coloured_row(row.line));
  return (timestamps ? iso_time(row.time) + " " : "") + text + "\n";
}

nlohmann::ordered_json missing_json(const std::vector<MissingHistory>& missing) {
  auto array = nlohmann::ordered_json::array();
  for (const MissingHistory& each : missing) {
    array.push_back({{"whose", each.whose}, {"why", each.why}});
  }
  return array;
}

std::string dumped_ascii(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace builder::app::cli
