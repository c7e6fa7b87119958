#pragma once

#include "app/cli/terminal.hpp"
#include "app/cli/view/build_model.hpp"
#include "app/cli/view/summary.hpp"
#include "domain/closing_words.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

/// The words of the live view: pure functions from what is known to rows of a terminal.
namespace builder::app::cli {

/// The text of a Dockerfile by the path in which a failure names it; nullopt: not at hand.
using SourceReader = std::function<std::optional<std::string>(const std::string& file)>;

/// A row of the history, as wide as the terminal.
std::string history_row(const Terminal& terminal, const HistoryRow& row);

/// What is going on: a block for each running step, with its output where there is room, and a last
/// row that counts. At least one row, and at most `terminal.rows - 1`, for the cursor rests below.
std::vector<std::string> live_rows(const Terminal& terminal, const BuildModel& model,
                                   SteadyTime now);

/// What is said once the build has ended. These rows may be wider than the terminal, which breaks
/// them: nothing of them is left out.
std::vector<std::string> closing_rows(const Terminal& terminal, const BuildModel& model,
                                      const BuildSummary& summary, const SourceReader& source);

using domain::time_in_words;

}  // namespace builder::app::cli
