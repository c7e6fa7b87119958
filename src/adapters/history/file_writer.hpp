#pragma once

#include "adapters/history/database.hpp"
#include "adapters/history/history.hpp"
#include "adapters/history/run_state.hpp"
#include "adapters/history/schema.hpp"
#include "adapters/history/writer_lock.hpp"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace builder::adapters::history {

/// Runs by the number of their record.
using Runs = std::map<std::uint64_t, RunState>;

/// The file of a history, as the writer's thread sees it. Errors: `conflict` (of a newer version:
/// for good), `unavailable` and `internal` (may pass).
class FileWriter {
 public:
  /// `says`: what the operator has to know of the file.
  FileWriter(HistorySettings settings, std::function<void(const std::string&)> says)
      : keep_(settings.keep), paths_{std::move(settings.folder)}, says_(std::move(says)) {}

  /// Writes what is new of the runs, all or nothing; opens, makes, migrates the file if need be. A
  /// damaged one is moved aside, one that was removed is begun again; `runs` then know it.
  Result<> write(Runs& runs);
  /// Removes some of what is too old or too much. True: there is more to remove.
  Result<bool> prune();

 private:
  struct Statements {
    Statement insert;
    Statement update;
    Statement phase;
    Statement step;
    Statement base;
    Statement chunk;
    Statement cut;
  };

  struct Open {
    Database database;
    Statements statements;
    WriterLock lock;
    std::pair<dev_t, ino_t> identity;
  };

  Result<> ensure_open(Runs& runs);
  Result<Open> open();
  Result<Open> open_as_it_is(WriterLock lock);
  Result<> move_aside(const Error& why);
  /// What to do about an error of the open file, which is passed on.
  Error handled(Error error);
  Result<> write_all(Runs& runs);
  Result<std::int64_t> write_run(const RunState& run, const std::map<std::uint64_t, std::string>&);
  Result<bool> prune_some();
  Result<> mark_interrupted();
  Result<std::uint64_t> bytes_in_use();

  const Keep keep_;
  const Paths paths_;
  const std::function<void(const std::string&)> says_;
  std::optional<Open> open_;
};

}  // namespace builder::adapters::history
