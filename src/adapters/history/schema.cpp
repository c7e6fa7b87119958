#include "adapters/history/schema.hpp"

#include <fmt/format.h>

#include <array>

namespace builder::adapters::history {

namespace {

constexpr const char* k_first = R"(
CREATE TABLE runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  writer INTEGER NOT NULL,            -- WriterLock
  deployment TEXT NOT NULL,
  service TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  repository TEXT NOT NULL,
  branch TEXT NOT NULL,
  dockerfile TEXT NOT NULL,
  variables TEXT NOT NULL,            -- a list in JSON
  engine TEXT NOT NULL,
  version TEXT NOT NULL,
  worker TEXT NOT NULL,
  started INTEGER NOT NULL,           -- milliseconds since 1970
  ended INTEGER,
  outcome TEXT NOT NULL DEFAULT '',   -- '': it runs, if its writer lives
  category TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  line TEXT NOT NULL DEFAULT '',
  advice TEXT NOT NULL DEFAULT '',
  sha TEXT NOT NULL DEFAULT '',
  image TEXT NOT NULL DEFAULT '',
  digest TEXT NOT NULL DEFAULT '',
  context_bytes INTEGER NOT NULL DEFAULT 0,
  pushed_bytes INTEGER NOT NULL DEFAULT 0,
  rows INTEGER NOT NULL DEFAULT 0,
  rows_kept INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0    -- about what the run takes in this file
) STRICT;
CREATE INDEX runs_by_deployment ON runs (deployment, id);
CREATE INDEX runs_by_service ON runs (service, id);
CREATE INDEX runs_by_outcome ON runs (outcome, id);
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_by_size ON runs (service, outcome, bytes);
CREATE TABLE phases (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  milliseconds INTEGER NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE steps (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  milliseconds INTEGER NOT NULL,
  cached INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE bases (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  number INTEGER NOT NULL,
  reference TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunks (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  first INTEGER NOT NULL,             -- number of its first row
  rows BLOB NOT NULL,                 -- log_chunk.hpp
  UNIQUE (run, first)
) STRICT;
)";

/// What a build needs beside its commit to be made again.
constexpr const char* k_second = R"(
ALTER TABLE runs ADD COLUMN settings TEXT NOT NULL DEFAULT '[]';  -- a list of pairs in JSON
ALTER TABLE runs ADD COLUMN port INTEGER NOT NULL DEFAULT 0;
)";

Result<std::int64_t> version_of(Database& database) {
  return database.number("PRAGMA user_version");
}

std::unexpected<Error> of_version(std::int64_t version, std::size_t known) {
  return failure(
      ErrorKind::conflict,
      fmt::format("the history is of version {}, this program knows version {}", version, known));
}

}  // namespace

std::span<const std::string> schema_steps() {
  static const std::array<std::string, 2> steps{k_first, k_second};
  return steps;
}

Result<> refuse_newer(Database& database, std::span<const std::string> steps) {
  BUILDER_TRY_ASSIGN(const std::int64_t version, version_of(database));
  return version < 0 || version > std::ssize(steps) ? of_version(version, steps.size())
                                                    : Result<>();
}

Result<> migrate(Database& database, std::span<const std::string> steps) {
  BUILDER_TRY(refuse_newer(database, steps));
  BUILDER_TRY_ASSIGN(const std::int64_t version, version_of(database));
  if (version == std::ssize(steps)) {
    return {};
  }
  BUILDER_TRY_ASSIGN(Transaction all, Transaction::begin(database));
  for (const std::string& step : steps.subspan(static_cast<std::size_t>(version))) {
    BUILDER_TRY(database.execute(step));
  }
  BUILDER_TRY(database.execute(fmt::format("PRAGMA user_version = {}", steps.size())));
  return all.commit();
}

Result<> expect_version(Database& database, std::span<const std::string> steps) {
  BUILDER_TRY_ASSIGN(const std::int64_t version, version_of(database));
  return version == std::ssize(steps) ? Result<>() : of_version(version, steps.size());
}

}  // namespace builder::adapters::history
