#include "adapters/history/file_writer.hpp"

#include "adapters/history/log_chunk.hpp"
#include "base/file_lock.hpp"
#include "base/temp_dir.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace builder::adapters::history {

namespace {

/// Other writers hold the file for milliseconds; the thread has nothing else to do, but the
/// process may want to end.
constexpr std::chrono::seconds k_busy{2};
/// Runs that are removed in one go; what has come in meanwhile is written between two.
constexpr int k_most_removed = 50;
/// Free pages in the file that need no effort: it would grow again at once.
constexpr std::int64_t k_spare_pages = 64;

/// The log is written ahead, so that readers and the writer do not wait for each other. What was
/// told in the last seconds before a power failure may be lost; the file is whole all the same.
constexpr const char* k_pragmas =
    "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 1048576; PRAGMA cache_size = -2048;"
    "PRAGMA temp_store = MEMORY";

std::int64_t since_epoch(ports::HistoryTime time) {
  return time.time_since_epoch().count();
}

std::int64_t signed_of(std::uint64_t number) {
  return static_cast<std::int64_t>(number);
}

template <class Items>
std::string json_list(const Items& items) {
  return nlohmann::json(items).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<std::pair<dev_t, ino_t>> identity_of(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0
             ? std::optional(std::pair(status.st_dev, status.st_ino))
             : std::nullopt;
}

/// SQLite would make it readable to others, and its companions get the mode of the file.
Result<> make_private(const std::string& path) {
  // Not opened if it is there: closing it would take this process's other locks off it.
  if (::access(path.c_str(), F_OK) == 0) {
    return ::chmod(path.c_str(), 0600) == 0 || errno == EPERM ? Result<>()
                                                              : errno_failure("chmod " + path);
  }
  const Fd made(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return made ? Result<>() : errno_failure("make " + path);
}

bool is_damage(const Error& error) {
  return error.kind == ErrorKind::invalid_input;
}

}  // namespace

Result<> FileWriter::write(Runs& runs) {
  BUILDER_TRY(ensure_open(runs));
  if (auto written = write_all(runs); !written) {
    return std::unexpected(handled(std::move(written).error()));
  }
  return {};
}

Result<bool> FileWriter::prune() {
  if (!open_) {
    return false;
  }
  auto pruned = prune_some();
  if (!pruned) {
    return std::unexpected(handled(std::move(pruned).error()));
  }
  return pruned;
}

Error FileWriter::handled(Error error) {
  if (is_damage(error)) {
    const auto identity = open_->identity;
    open_.reset();
    const auto alone = lock_alone(paths_.lock());
    // Another process may have moved it by now.
    if (alone && identity_of(paths_.file()) == identity) {
      if (auto moved = move_aside(error); !moved) {
        return std::move(moved).error();
      }
    }
  }
  return error;
}

Result<> FileWriter::ensure_open(Runs& runs) {
  if (open_ && identity_of(paths_.file()) != open_->identity) {
    says_("was removed while it is in use; it begins again");
    open_.reset();
  }
  if (open_ && open_->lock.is_at(paths_.lock())) {
    return {};
  }
  if (open_) {
    // Only the lock is gone: readers take this writer for dead until it has another number.
    BUILDER_TRY_ASSIGN(open_->lock, WriterLock::open(paths_.lock()));
    for (auto& [number, run] : runs) {
      run.is_new = true;
    }
    return {};
  }
  for (auto& [number, run] : runs) {
    run.forget_written();
  }
  BUILDER_TRY_ASSIGN(open_, open());
  return {};
}

Result<FileWriter::Open> FileWriter::open() {
  BUILDER_TRY(make_directories(paths_.folder));
  BUILDER_TRY_ASSIGN(WriterLock lock, WriterLock::open(paths_.lock()));
  BUILDER_TRY_ASSIGN(const Fd alone, lock_alone(paths_.lock()));
  auto opened = open_as_it_is(std::move(lock));
  if (opened || !is_damage(opened.error())) {
    return opened;
  }
  BUILDER_TRY(move_aside(opened.error()));
  BUILDER_TRY_ASSIGN(lock, WriterLock::open(paths_.lock()));
  return open_as_it_is(std::move(lock));
}

Result<FileWriter::Open> FileWriter::open_as_it_is(WriterLock lock) {
  BUILDER_TRY(make_private(paths_.file()));
  BUILDER_TRY_ASSIGN(Database database,
                     Database::open(paths_.file(), Database::Mode::write, k_busy));
  const auto identity = identity_of(paths_.file());
  if (!identity) {
    return failure(ErrorKind::unavailable, paths_.file() + " was removed");
  }
  BUILDER_TRY(refuse_newer(database, schema_steps()));  // Before anything in it is changed.
  BUILDER_TRY(database.execute(k_pragmas));
  BUILDER_TRY(migrate(database, schema_steps()));
  const auto prepare = [&database](std::string_view sql) {
    auto statement = database.prepare(sql);
    if (!statement && statement.error().kind == ErrorKind::internal) {
      // The version is ours, the tables are not.
      statement.error().kind = ErrorKind::invalid_input;
    }
    return statement;
  };
  BUILDER_TRY_ASSIGN(
      auto insert,
      prepare("INSERT INTO runs (writer, deployment, service, attempt, repository, branch,"
              " dockerfile, variables, engine, version, worker, started, settings, port)"
              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  BUILDER_TRY_ASSIGN(
      auto update,
      prepare("UPDATE runs SET writer = ?2, ended = ?3, outcome = ?4, category = ?5, reason = ?6,"
              " line = ?7, advice = ?8, sha = ?9, image = ?10, digest = ?11, context_bytes = ?12,"
              " pushed_bytes = ?13, rows = ?14, rows_kept = ?15, bytes = ?16 WHERE id = ?1"));
  BUILDER_TRY_ASSIGN(auto phase, prepare("INSERT OR REPLACE INTO phases VALUES (?, ?, ?, ?)"));
  BUILDER_TRY_ASSIGN(auto step, prepare("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)"));
  BUILDER_TRY_ASSIGN(auto base, prepare("INSERT INTO bases VALUES (?, ?, ?, ?)"));
  BUILDER_TRY_ASSIGN(auto chunk, prepare("INSERT INTO chunks (run, first, rows) VALUES (?, ?, ?)"
                                         " ON CONFLICT DO UPDATE SET rows = excluded.rows"));
  BUILDER_TRY_ASSIGN(auto cut, prepare("DELETE FROM chunks WHERE run = ? AND first = ?"));
  return Open{.database = std::move(database),
              .statements = {.insert = std::move(insert),
                             .update = std::move(update),
                             .phase = std::move(phase),
                             .step = std::move(step),
                             .base = std::move(base),
                             .chunk = std::move(chunk),
                             .cut = std::move(cut)},
              .lock = std::move(lock),
              .identity = *identity};
}

/// The caller is alone.
Result<> FileWriter::move_aside(const Error& why) {
  says_(fmt::format("is damaged and was moved to {}, a new one begins: {}", paths_.damaged(),
                    why.message));
  for (const char* companion : {"-wal", "-shm"}) {
    ::unlink((paths_.file() + companion).c_str());
  }
  if (::rename(paths_.file().c_str(), paths_.damaged().c_str()) != 0) {
    return errno_failure("move " + paths_.file());
  }
  return {};
}

Result<> FileWriter::write_all(Runs& runs) {
  struct Written {
    RunState* run;
    std::int64_t id;
  };

  std::vector<Written> written;
  if (std::ranges::none_of(runs, [](const auto& one) { return one.second.is_new; })) {
    return {};
  }
  BUILDER_TRY_ASSIGN(Transaction all, Transaction::begin(open_->database));
  BUILDER_TRY(expect_version(open_->database, schema_steps()));
  for (auto& [number, run] : runs) {
    if (!run.is_new) {
      continue;
    }
    std::map<std::uint64_t, std::string> chunks;
    for (Chunk& chunk : run.chunks) {
      if (chunk.is_new) {
        auto& stored = chunks[chunk.first] = compressed(chunk.raw);
        chunk.file_bytes = stored.size();
      }
    }
    BUILDER_TRY_ASSIGN(const std::int64_t id, write_run(run, chunks));
    written.push_back({&run, id});
  }
  BUILDER_TRY(all.commit());
  for (const auto& [run, id] : written) {
    run->id = id;
    run->phases_written = run->phases.size();
    run->steps_written = run->steps.size();
    run->bases_written = run->bases.size();
    run->cut.clear();
    for (Chunk& chunk : run->chunks) {
      chunk.is_new = false;
      if (&chunk != &run->chunks.back()) {
        std::string().swap(chunk.raw);  // Frees it, which an assignment does not.
      }
    }
    run->is_new = false;
  }
  return {};
}

/// Its number in the file.
Result<std::int64_t> FileWriter::write_run(const RunState& run,
                                           const std::map<std::uint64_t, std::string>& chunks) {
  auto& [insert, update, phase, step, base, chunk, cut] = open_->statements;
  const std::int64_t writer = open_->lock.number();
  std::int64_t id = run.id;
  if (id == 0) {
    const ports::RunStart& start = run.start;
    const std::string variables = json_list(start.variables);
    const std::string settings = json_list(start.settings);
    BUILDER_TRY(insert
                    .bind(writer, start.deployment.str(), start.service.str(),
                          std::int64_t(start.attempt), start.repository, start.branch,
                          start.dockerfile, variables, start.engine, start.version, start.worker,
                          since_epoch(run.started), settings, std::int64_t(start.port))
                    .run());
    id = open_->database.last_id();
  }
  const ports::RunEnd end = run.ended ? run.ended->end : ports::RunEnd();
  const std::string_view outcome =
      run.ended ? std::string_view(end.outcome) : (run.abandoned ? ports::k_interrupted : "");
  BUILDER_TRY(
      update
          .bind(id, writer, run.ended ? std::optional(since_epoch(run.ended->time)) : std::nullopt,
                outcome, end.category, end.reason, end.line, end.advice, end.commit, end.image,
                end.digest, signed_of(end.context_bytes), signed_of(end.pushed_bytes),
                signed_of(run.rows), signed_of(run.rows_kept()), signed_of(run.file_bytes()))
          .run());
  if (open_->database.changes() == 0) {
    return id;  // It was removed: its worker looked dead, and the history was full.
  }
  for (std::size_t i = run.phases_written; i < run.phases.size(); ++i) {
    BUILDER_TRY(
        phase.bind(id, signed_of(i), run.phases[i].first, run.phases[i].second.count()).run());
  }
  for (std::size_t i = run.steps_written; i < run.steps.size(); ++i) {
    const ports::RunStep& one = run.steps[i];
    BUILDER_TRY(step.bind(id, signed_of(i), one.name, one.duration.count(),
                          std::int64_t(one.cached), std::int64_t(one.failed))
                    .run());
  }
  for (std::size_t i = run.bases_written; i < run.bases.size(); ++i) {
    BUILDER_TRY(base.bind(id, signed_of(i), run.bases[i].reference, run.bases[i].digest).run());
  }
  for (const std::uint64_t first : run.cut) {
    BUILDER_TRY(cut.bind(id, signed_of(first)).run());
  }
  for (const auto& [first, stored] : chunks) {
    BUILDER_TRY(chunk.bind(id, signed_of(first), Blob{stored}).run());
  }
  return id;
}

Result<std::uint64_t> FileWriter::bytes_in_use() {
  BUILDER_TRY_ASSIGN(const std::int64_t pages, open_->database.number("PRAGMA page_count"));
  BUILDER_TRY_ASSIGN(const std::int64_t spare, open_->database.number("PRAGMA freelist_count"));
  BUILDER_TRY_ASSIGN(const std::int64_t size, open_->database.number("PRAGMA page_size"));
  return static_cast<std::uint64_t>((pages - spare) * size);
}

/// Runs of writers that are gone count as over.
Result<> FileWriter::mark_interrupted() {
  BUILDER_TRY_ASSIGN(const Fd locks, open_lock(paths_.lock()));
  BUILDER_TRY_ASSIGN(Statement writers, open_->database.prepare(
                                            "SELECT DISTINCT writer FROM runs WHERE outcome = ''"));
  std::vector<std::int64_t> gone;
  for (;;) {
    BUILDER_TRY_ASSIGN(const bool row, writers.step());
    if (!row) {
      break;
    }
    if (const std::int64_t number = writers.integer(0); !is_writing(locks, number)) {
      gone.push_back(number);
    }
  }
  BUILDER_TRY_ASSIGN(
      Statement mark,
      open_->database.prepare("UPDATE runs SET outcome = ? WHERE outcome = '' AND writer = ?"));
  for (const std::int64_t number : gone) {
    BUILDER_TRY(mark.bind(ports::k_interrupted, number).run());
  }
  return {};
}

Result<bool> FileWriter::prune_some() {
  Database& database = open_->database;
  BUILDER_TRY(expect_version(database, schema_steps()));
  BUILDER_TRY(mark_interrupted());
  const auto oldest =
      std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now() - keep_.age);
  BUILDER_TRY_ASSIGN(
      Statement too_old,
      database.prepare("SELECT id FROM runs WHERE started < ? AND outcome <> '' LIMIT 1"));
  // Who keeps most gives first, so that nobody's builds push out the history of others.
  BUILDER_TRY_ASSIGN(
      Statement too_much,
      database.prepare("SELECT id FROM runs WHERE outcome <> '' AND service ="
                       " (SELECT service FROM runs WHERE outcome <> '' GROUP BY service"
                       "  ORDER BY sum(bytes) DESC LIMIT 1) ORDER BY id LIMIT 1"));
  BUILDER_TRY_ASSIGN(Statement remove, database.prepare("DELETE FROM runs WHERE id = ?"));
  BUILDER_TRY_ASSIGN(std::uint64_t bytes, bytes_in_use());
  // A little more than has to be, so that not every row that comes in removes a run.
  const std::uint64_t most = bytes > keep_.bytes ? keep_.bytes - keep_.bytes / 16 : keep_.bytes;
  int removed = 0;
  for (; removed < k_most_removed; ++removed) {
    BUILDER_TRY_ASSIGN(bool found, too_old.bind(since_epoch(oldest)).step());
    std::int64_t id = found ? too_old.integer(0) : 0;
    if (!found && bytes > most) {
      BUILDER_TRY_ASSIGN(found, too_much.bind().step());
      id = found ? too_much.integer(0) : 0;
    }
    if (!found) {
      break;
    }
    // A statement that has a row still reads.
    too_old.bind(since_epoch(oldest));
    too_much.bind();
    BUILDER_TRY(remove.bind(id).run());
    BUILDER_TRY_ASSIGN(bytes, bytes_in_use());
  }
  BUILDER_TRY_ASSIGN(const std::int64_t spare, database.number("PRAGMA freelist_count"));
  if (spare > k_spare_pages) {
    BUILDER_TRY(database.execute("PRAGMA incremental_vacuum"));
    // Only now the file itself becomes shorter; readers may keep it from that for a while.
    BUILDER_TRY(database.execute("PRAGMA wal_checkpoint(PASSIVE)"));
  }
  return removed == k_most_removed;
}

}  // namespace builder::adapters::history
