#pragma once

#include "app/cli/history/histories.hpp"
#include "app/cli/terminal.hpp"
#include "ports/build_history.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Runs in words for a person. Every text of a run is shown on one line and without control
/// characters.
namespace builder::app::cli {

/// `--since`: `90s`, `30m`, `2h`, `7d` before `now`, or a date or time in UTC.
std::optional<ports::HistoryTime> parse_since(std::string_view text, ports::HistoryTime now);

std::string list_text(const Terminal& terminal, const std::vector<ports::KeptRun>& runs,
                      ports::HistoryTime now);

/// A run with its phases and steps; `tail` is the end of its log, which a failure shows.
std::string run_text(const Terminal& terminal, const ports::KeptRunDetails& details,
                     const std::vector<ports::KeptRow>& tail, ports::HistoryTime now);

/// A row of a log, with its colours where the terminal has some, and its line end.
std::string log_row_text(const Terminal& terminal, const ports::KeptRow& row, bool timestamps);

nlohmann::ordered_json missing_json(const std::vector<MissingHistory>& missing);

/// As `dumped`, in ASCII: a history's texts may be a stranger's.
std::string dumped_ascii(const nlohmann::ordered_json& json, int indent = 2);

}  // namespace builder::app::cli
