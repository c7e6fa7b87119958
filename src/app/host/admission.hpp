#pragma once

#include "base/sync.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace builder::app {

/// How much of a disk must be free: a share of it, so many bytes, or of both what is less.
struct FreeFloor {
  std::optional<double> percent;
  std::optional<std::uint64_t> bytes;

  /// For a disk of this size; 0: nothing is asked for.
  [[nodiscard]] std::uint64_t of(std::uint64_t total) const;
};

/// "10%", "20GiB", "10%,20GiB" or "0"; nullopt for anything else.
std::optional<FreeFloor> parse_free_floor(std::string_view text);

struct AdmissionRules {
  FreeFloor min_free_disk;
  int max_memory_pressure = 0;  ///< Percent of `some avg10`; 0: not looked at.
  int max_io_pressure = 0;
};

struct DiskState {
  std::string name;  ///< "WORK_DIR", "engine".
  std::uint64_t free = 0;
  std::uint64_t total = 0;
  std::uint64_t free_inodes = 0;
  std::uint64_t total_inodes = 0;
};

struct HostState {
  std::vector<DiskState> disks;
  std::optional<double> memory_pressure = {};
  std::optional<double> io_pressure = {};
};

/// Whether the host can bear one more build. What is short refuses builds until clearly more is
/// there than was asked for, so that it does not flap. Thread-safe.
class Admission {
 public:
  explicit Admission(AdmissionRules rules) : rules_(rules) {}

  /// What the host is like now.
  void look(const HostState& host);

  /// Empty: a build may be taken. Else why not, one reason after another; the words stay the same
  /// until something else is short.
  [[nodiscard]] std::string refusal() const;

  /// Less than half of what should be free: what runs must be stopped before the disk is full.
  [[nodiscard]] bool critical() const;

  /// So many bytes should be freed on the disk of this name; 0: it has enough.
  [[nodiscard]] std::uint64_t missing(const std::string& disk) const;

  /// Names of what is short: `disk`, `inodes`, `memory`, `io`.
  [[nodiscard]] std::set<std::string> short_of() const;

 private:
  struct State {
    std::map<std::string, std::string> refusals;   ///< By what is short: words.
    std::map<std::string, std::uint64_t> missing;  ///< By disk.
    bool critical = false;
  };

  void look_at_disk(State& state, const DiskState& disk) const;
  static void judge(State& state, const std::string& what, bool is_short, bool is_well,
                    const std::string& words);

  const AdmissionRules rules_;
  mutable Sync<State> state_;
};

}  // namespace builder::app
