#include "adapters/history/database.hpp"

#include <fmt/format.h>

namespace builder::adapters::history {

namespace {

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
      return ErrorKind::invalid_input;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_PROTOCOL:
    case SQLITE_NOLFS:
    case SQLITE_NOMEM:
      return ErrorKind::unavailable;
    case SQLITE_INTERRUPT:
      return ErrorKind::timed_out;
    default:
      return ErrorKind::internal;
  }
}

std::unexpected<Error> failed(sqlite3* handle, int code) {
  return failure(
      kind_of(code),
      fmt::format("SQLite: {}", handle == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle)));
}

}  // namespace

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW || code == SQLITE_DONE) {
    return code == SQLITE_ROW;
  }
  auto error = failed(sqlite3_db_handle(statement_.get()), code);
  sqlite3_reset(statement_.get());  // It would keep its lock.
  return error;
}

Result<> Statement::run() {
  BUILDER_TRY_ASSIGN([[maybe_unused]] const bool row, step());
  sqlite3_reset(statement_.get());
  return {};
}

std::string_view Statement::text(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr
             ? std::string_view()
             : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

Result<Database> Database::open(const std::string& path, Mode mode,
                                std::chrono::milliseconds busy) {
  sqlite3* handle = nullptr;
  // Of one thread at a time: SQLite's own locks are not needed.
  const int flags =
      (mode == Mode::read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database(handle);
  if (code != SQLITE_OK) {
    return failed(handle, code);
  }
  sqlite3_busy_timeout(handle, static_cast<int>(busy.count()));
  // The file may have been made by anybody who may write there: nothing in it is run.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return database;
}

void Database::limit(std::chrono::milliseconds time) {
  constexpr int k_operations = 10'000;
  using Clock = std::chrono::steady_clock;
  if (until_ == nullptr) {
    until_ = std::make_unique<Clock::time_point>();
    sqlite3_progress_handler(
        handle_.get(), k_operations,
        [](void* until) { return Clock::now() > *static_cast<Clock::time_point*>(until) ? 1 : 0; },
        until_.get());
  }
  *until_ = Clock::now() + time;
}

Result<> Database::execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Result<>() : failed(handle_.get(), code);
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) {
    return failed(handle_.get(), code);
  }
  return Statement(statement);
}

Result<std::int64_t> Database::number(std::string_view sql) {
  BUILDER_TRY_ASSIGN(Statement statement, prepare(sql));
  BUILDER_TRY_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<Transaction> Transaction::begin(Database& database) {
  BUILDER_TRY(database.execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ != nullptr) {
    // After some errors SQLite has done it already.
    [[maybe_unused]] const auto undone = database_->execute("ROLLBACK");
  }
}

Result<> Transaction::commit() {
  BUILDER_TRY(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace builder::adapters::history
