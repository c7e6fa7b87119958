#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "ports/build_history.hpp"
#include "ports/metrics.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

/// The history of builds in a SQLite file, `history.db` of a folder, which all workers of a host
/// share. Made with mode 0600.
namespace builder::adapters::history {

/// How much is kept; the older goes first. Of services that keep much, more goes than of others.
struct Keep {
  std::chrono::seconds age{0};
  std::uint64_t bytes = 0;  ///< Of the file; 0: no history is kept.
};

/// Rows of one run that are kept: this much from its beginning, and as much from its end, in bytes
/// before compression; less where `Keep::bytes` is small. So one run takes a sixteenth at most.
inline constexpr std::uint64_t k_log_head = 4 * 1024 * 1024;

struct HistorySettings {
  std::string folder;  ///< Made when it is not there, at any time.
  Keep keep;
};

/// Writes on a thread of its own, which ends with the object; what waits then is written first. A
/// history that cannot be written is no error: builds go on, the log says so once, and what fits
/// into memory waits. A damaged file is moved aside. One of a newer version is left alone, and
/// nothing is kept. `metrics` outlives it.
std::unique_ptr<ports::BuildHistory> make_history(HistorySettings settings, ports::Metrics& metrics,
                                                  Log log);

/// `not_found`: no worker has kept one in this folder yet.
Result<std::unique_ptr<ports::HistoryReader>> open_history(const std::string& folder);

}  // namespace builder::adapters::history
