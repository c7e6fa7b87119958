#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"
#include "ports/build_history.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// A history over HTTP: what is asked for, and the answers. Both sides take the other one's words
/// as a stranger's. docs/protocol.md has the addresses, docs/cli.md the fields.
namespace builder::adapters::remote_history {

using Json = nlohmann::ordered_json;

/// Runs in one answer, and rows of a log.
inline constexpr std::size_t k_most_runs = 100;
inline constexpr std::size_t k_most_rows = 500;
/// Answers end before this, but for the first thing in them: one run, or one row.
inline constexpr std::size_t k_answer_bytes = std::size_t{256} * 1024;
/// What no answer is larger than.
inline constexpr std::size_t k_largest_answer = std::size_t{1024} * 1024;

struct LogPart {
  std::int64_t run = 0;
  std::uint64_t from = 0;

  bool operator==(const LogPart&) const = default;
};

/// What can be asked for.
using Question = std::variant<ports::RunFilter, domain::DeploymentId, LogPart>;

/// The target of a request: `/history?n=20`, `/history/d1`, `/history/runs/7/log?from=0`.
std::string target_of(const Question& question);
/// `not_found`: there is no such page; `invalid_input`: a value is wrong, the message says which.
Result<Question> read_target(std::string_view target);

Json run_json(const ports::KeptRun& run);
/// `room`: about the bytes that the lists in it may take; what is left out is counted.
Json details_json(const ports::KeptRunDetails& details, std::size_t room = std::string::npos);
Json row_json(const ports::KeptRow& row);

std::string runs_answer(const std::vector<ports::KeptRun>& runs);
std::string details_answer(const std::vector<ports::KeptRunDetails>& all);

/// An answer of rows, until it is full.
class RowsAnswer {
 public:
  /// False: there is no more room, and the row is not in it.
  bool add(const ports::KeptRow& row);

  [[nodiscard]] std::string text() const { return "{\"rows\":[" + rows_ + "]}"; }

 private:
  std::string rows_;
};

/// Errors: `internal`, it is no such answer.
Result<std::vector<ports::KeptRun>> read_runs(std::string_view answer);
Result<std::vector<ports::KeptRunDetails>> read_details(std::string_view answer);
Result<std::vector<ports::KeptRow>> read_rows(std::string_view answer);

}  // namespace builder::adapters::remote_history
