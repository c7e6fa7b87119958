#pragma once

#include "base/result.hpp"

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace builder::adapters::history {

/// Bytes that are no text, for a parameter.
struct Blob {
  std::string_view bytes;
};

/// A statement of a `Database`, which outlives it. Columns and parameters are counted from 0.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  /// Binds the parameters in their order and begins from the start. The texts must stay as they are
  /// until the statement begins again: they are not copied.
  template <class... Values>
  Statement& bind(const Values&... values) {
    sqlite3_reset(statement_.get());
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }

  /// Whether there is a (next) row.
  Result<bool> step();
  /// For a statement without rows.
  Result<> run();

  [[nodiscard]] std::int64_t integer(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
  }

  /// Any bytes, as they were bound; valid until the next step.
  [[nodiscard]] std::string_view text(int column) const;

  [[nodiscard]] bool is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  void bind_one(int index, std::int64_t value) {
    sqlite3_bind_int64(statement_.get(), index, value);
  }

  void bind_one(int index, std::string_view text) {
    sqlite3_bind_text64(statement_.get(), index, text.data() == nullptr ? "" : text.data(),
                        text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }

  void bind_one(int index, Blob blob) {
    sqlite3_bind_blob64(statement_.get(), index, blob.bytes.data(), blob.bytes.size(),
                        SQLITE_STATIC);
  }

  void bind_one(int index, const std::optional<std::int64_t>& value) {
    if (value) {
      bind_one(index, *value);
    } else {
      sqlite3_bind_null(statement_.get(), index);
    }
  }

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// One connection to a SQLite file. Not thread-safe. Errors: `invalid_input` (the file is damaged,
/// or no database at all), `unavailable` (locked, disk full, not readable: it may pass),
/// `internal`.
class Database {
 public:
  enum class Mode { read, write };

  /// Never makes a file: `not_found` if there is none.
  static Result<Database> open(const std::string& path, Mode mode, std::chrono::milliseconds busy);

  /// From now on statements may run for so long together; then they fail with `timed_out`. A file
  /// may have been made so that reading it never ends.
  void limit(std::chrono::milliseconds time);
  /// Statements without parameters, one after the other.
  Result<> execute(const std::string& sql);
  Result<Statement> prepare(std::string_view sql);
  /// What a statement of one row and one column says, e.g. a pragma.
  Result<std::int64_t> number(std::string_view sql);

  /// Rows that the last statement changed.
  [[nodiscard]] int changes() const { return sqlite3_changes(handle_.get()); }

  [[nodiscard]] std::int64_t last_id() const { return sqlite3_last_insert_rowid(handle_.get()); }

 private:
  struct Close {
    // The statements of this connection may still be there, in whatever order members go.
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };

  explicit Database(sqlite3* handle) : handle_(handle) {}

  /// Where it stays when the database is moved: SQLite looks at it.
  std::unique_ptr<std::chrono::steady_clock::time_point> until_;
  std::unique_ptr<sqlite3, Close> handle_;
};

/// `BEGIN IMMEDIATE`, undone unless it was committed.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);

  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Result<> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}

  Database* database_;
};

}  // namespace builder::adapters::history
