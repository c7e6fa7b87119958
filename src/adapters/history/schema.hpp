#pragma once

#include "adapters/history/database.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// The file of a history: what is where, and how an older one becomes a newer one.
namespace builder::adapters::history {

struct Paths {
  std::string folder;

  [[nodiscard]] std::string file() const { return folder + "/history.db"; }

  [[nodiscard]] std::string lock() const { return folder + "/history.lock"; }

  /// Where a damaged file goes; an earlier one makes room.
  [[nodiscard]] std::string damaged() const { return folder + "/history.damaged.db"; }
};

/// The step at index N makes a file of version N one of version N + 1; the first makes the tables.
/// A step that was released never changes: a new version is a new step.
std::span<const std::string> schema_steps();

/// `conflict` if the file is of a newer version than the steps lead to.
Result<> refuse_newer(Database& database, std::span<const std::string> steps);

/// Does the steps that are missing, all of them or none. `conflict` as of `refuse_newer`. Nobody
/// else may migrate it meanwhile.
Result<> migrate(Database& database, std::span<const std::string> steps);

/// `conflict` unless the file is of the version that the steps lead to.
Result<> expect_version(Database& database, std::span<const std::string> steps);

}  // namespace builder::adapters::history
