#include "adapters/history/database.hpp"
#include "adapters/history/history.hpp"
#include "adapters/history/log_chunk.hpp"
#include "adapters/history/schema.hpp"
#include "adapters/history/writer_lock.hpp"
#include "base/json.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace builder::adapters::history {

namespace {

/// A writer holds the file for moments only.
constexpr std::chrono::seconds k_read_busy{2};
/// Of one question.
constexpr std::chrono::seconds k_read_limit{5};

constexpr std::string_view k_columns =
    "id, writer, deployment, service, attempt, repository, branch, dockerfile, variables,"
    " engine, version, worker, started, ended, outcome, category, reason, line, advice, sha, "
    "image, digest,"
    " context_bytes, pushed_bytes, (SELECT count(*) FROM steps WHERE run = runs.id),"
    " (SELECT sum(cached) FROM steps WHERE run = runs.id), rows, rows_kept, ";
constexpr int k_rows = 26;
constexpr int k_rows_kept = 27;
constexpr int k_settings = 28;
constexpr int k_port = 29;
/// A history that no worker of this version has written yet is read all the same.
constexpr std::string_view k_newer_columns = "settings, port";
constexpr std::string_view k_without_them = "'[]', 0";
constexpr std::int64_t k_oldest_version = 1;

std::uint64_t unsigned_of(std::int64_t number) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(number, 0));
}

std::int64_t clamped(std::uint64_t number) {
  constexpr std::uint64_t k_most = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::min(number, k_most));
}

ports::HistoryTime time_of(std::int64_t number) {
  return ports::HistoryTime(std::chrono::milliseconds(number));
}

std::vector<std::string> names_of(std::string_view list) {
  std::vector<std::string> names;
  for (const auto& name : parse_json(list)) {
    names.push_back(name.is_string() ? name.get<std::string>() : std::string());
  }
  return names;
}

std::vector<std::pair<std::string, std::string>> pairs_of(std::string_view list) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& pair : parse_json(list)) {
    if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string()) {
      pairs.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
    }
  }
  return pairs;
}

class Reader final : public ports::HistoryReader {
 public:
  Reader(Database database, Fd locks, std::int64_t version)
      : database_(std::move(database)),
        locks_(std::move(locks)),
        columns_(std::string(k_columns).append(version == k_oldest_version ? k_without_them
                                                                           : k_newer_columns)) {}

  Result<std::vector<ports::KeptRun>> list(const ports::RunFilter& filter) override;
  Result<std::vector<ports::KeptRunDetails>> find(const domain::DeploymentId& deployment) override;
  Result<std::vector<ports::KeptRow>> log(std::int64_t run, std::uint64_t from,
                                          std::size_t most) override;

 private:
  [[nodiscard]] ports::KeptRun run_of(const Statement& row) const;
  Result<> read_parts(ports::KeptRunDetails& details);

  Database database_;
  Fd locks_;
  const std::string columns_;
};

ports::KeptRun Reader::run_of(const Statement& row) const {
  int column = 0;
  const auto number = [&] { return row.integer(column++); };
  const auto text = [&] { return std::string(row.text(column++)); };
  ports::KeptRun run;
  run.id = number();
  const std::int64_t writer = number();
  run.start.deployment = domain::DeploymentId(text());
  run.start.service = domain::ServiceId(text());
  run.start.attempt = static_cast<int>(number());
  run.start.repository = text();
  run.start.branch = text();
  run.start.dockerfile = text();
  run.start.variables = names_of(text());
  run.start.engine = text();
  run.start.version = text();
  run.start.worker = text();
  run.started = time_of(number());
  run.ended = row.is_null(column) ? std::nullopt : std::optional(time_of(row.integer(column)));
  ++column;
  run.end.outcome = text();
  run.end.category = text();
  run.end.reason = text();
  run.end.line = text();
  run.end.advice = text();
  run.end.commit = text();
  run.end.image = text();
  run.end.digest = text();
  run.end.context_bytes = unsigned_of(number());
  run.end.pushed_bytes = unsigned_of(number());
  run.steps = unsigned_of(number());
  run.cached = unsigned_of(number());
  run.start.settings = pairs_of(row.text(k_settings));
  run.start.port = static_cast<std::uint16_t>(row.integer(k_port));
  if (run.end.outcome.empty()) {
    run.end.outcome = is_writing(locks_, writer) ? ports::k_running : ports::k_interrupted;
  }
  return run;
}

Result<std::vector<ports::KeptRun>> Reader::list(const ports::RunFilter& filter) {
  database_.limit(k_read_limit);
  // What is not asked for is a condition that holds. One index is enough, and it has to be one that
  // gives the newest first: `+` keeps SQLite from taking another.
  const bool without_end =
      filter.outcome == ports::k_running || filter.outcome == ports::k_interrupted;
  const std::string outcome = fmt::format("{}outcome {}", filter.service.empty() ? "" : "+",
                                          without_end ? "IN ('', ?2)" : "= ?2");
  const std::string sql = fmt::format(
      "SELECT {} FROM runs WHERE {} AND {} AND {} AND {} ORDER BY id DESC", columns_,
      filter.service.empty() ? "?1 = ''" : "service = ?1",
      filter.outcome.empty() ? "?2 = ''" : outcome, filter.since ? "+started >= ?3" : "?3 IS NULL",
      filter.before ? "id < ?4" : "?4 IS NULL");
  BUILDER_TRY_ASSIGN(Statement rows, database_.prepare(sql));
  rows.bind(filter.service, filter.outcome,
            filter.since ? std::optional(filter.since->time_since_epoch().count()) : std::nullopt,
            filter.before);
  std::vector<ports::KeptRun> runs;
  while (runs.size() < filter.most) {
    BUILDER_TRY_ASSIGN(const bool found, rows.step());
    if (!found) {
      break;
    }
    ports::KeptRun run = run_of(rows);
    // Which of those without an end go on is not in the file.
    if (!without_end || run.end.outcome == filter.outcome) {
      runs.push_back(std::move(run));
    }
  }
  return runs;
}

Result<std::vector<ports::KeptRunDetails>> Reader::find(const domain::DeploymentId& deployment) {
  constexpr int k_runs = 20;  // One that waits for its operator comes again and again.
  database_.limit(k_read_limit);
  BUILDER_TRY_ASSIGN(
      Statement rows,
      database_.prepare(fmt::format(
          "SELECT {} FROM runs WHERE deployment = ? ORDER BY id DESC LIMIT {}", columns_, k_runs)));
  rows.bind(deployment.str());
  std::vector<ports::KeptRunDetails> found;
  for (;;) {
    BUILDER_TRY_ASSIGN(const bool row, rows.step());
    if (!row) {
      return found;
    }
    const std::uint64_t all = unsigned_of(rows.integer(k_rows));
    const std::uint64_t kept = unsigned_of(rows.integer(k_rows_kept));
    ports::KeptRunDetails details{
        .run = run_of(rows), .rows = all, .rows_lost = all - std::min(kept, all)};
    BUILDER_TRY(read_parts(details));
    found.push_back(std::move(details));
  }
}

Result<> Reader::read_parts(ports::KeptRunDetails& details) {
  const auto each = [&](std::string_view sql, const auto& take) -> Result<> {
    BUILDER_TRY_ASSIGN(Statement rows, database_.prepare(sql));
    rows.bind(details.run.id);
    for (;;) {
      BUILDER_TRY_ASSIGN(const bool row, rows.step());
      if (!row) {
        return {};
      }
      take(rows);
    }
  };
  BUILDER_TRY(each("SELECT name, milliseconds FROM phases WHERE run = ? ORDER BY number",
                   [&](const Statement& row) {
                     details.phases.emplace_back(row.text(0),
                                                 std::chrono::milliseconds(row.integer(1)));
                   }));
  BUILDER_TRY(
      each("SELECT name, milliseconds, cached, failed FROM steps WHERE run = ? ORDER BY number",
           [&](const Statement& row) {
             details.steps.push_back({.name = std::string(row.text(0)),
                                      .duration = std::chrono::milliseconds(row.integer(1)),
                                      .cached = row.integer(2) != 0,
                                      .failed = row.integer(3) != 0});
           }));
  return each("SELECT reference, digest FROM bases WHERE run = ? ORDER BY number",
              [&](const Statement& row) { details.bases.emplace_back(row.text(0), row.text(1)); });
}

Result<std::vector<ports::KeptRow>> Reader::log(std::int64_t run, std::uint64_t from,
                                                std::size_t most) {
  database_.limit(k_read_limit);
  BUILDER_TRY_ASSIGN(
      Statement chunks,
      database_.prepare("SELECT rows FROM chunks WHERE run = ?1 AND first >="
                        " (SELECT coalesce(max(first), 0) FROM chunks WHERE run = ?1 AND"
                        "  first <= ?2) ORDER BY first"));
  chunks.bind(run, clamped(from));
  std::vector<ports::KeptRow> log;
  while (log.size() < most) {
    BUILDER_TRY_ASSIGN(const bool found, chunks.step());
    if (!found) {
      break;
    }
    BUILDER_TRY_ASSIGN(auto rows, rows_of(chunks.text(0)));
    for (ports::KeptRow& row : rows) {
      if (row.number >= from && log.size() < most) {
        log.push_back(std::move(row));
      }
    }
  }
  return log;
}

}  // namespace

Result<std::unique_ptr<ports::HistoryReader>> open_history(const std::string& folder) {
  const Paths paths{folder};
  const auto none = [&] {
    return failure(ErrorKind::not_found, "there is no history of builds in " + folder);
  };
  if (::access(paths.file().c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
    return none();
  }
  const auto in_folder = [&](Error error) {
    return std::unexpected(std::move(error).with_context("the history of builds in " + folder));
  };
  auto database = Database::open(paths.file(), Database::Mode::read, k_read_busy);
  if (!database) {
    return in_folder(std::move(database).error());
  }
  const auto version = database->number("PRAGMA user_version");
  if (!version) {
    return in_folder(version.error());
  }
  if (*version == 0) {
    return none();  // It is being made.
  }
  if (auto known = refuse_newer(*database, schema_steps()); !known) {
    return in_folder(std::move(known).error());
  }
  Fd locks(::open(paths.lock().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return std::make_unique<Reader>(*std::move(database), std::move(locks), *version);
}

}  // namespace builder::adapters::history
