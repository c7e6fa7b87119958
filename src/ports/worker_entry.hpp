#pragma once

#include "domain/ids.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

/// What a worker lets people know of itself at the queue, and what they ask of it there. Neither
/// holds a secret.
namespace builder::ports {

/// Who a worker is; does not change while it lives.
struct WorkerIdentity {
  std::string host;
  int pid = 0;
  std::string version;
  std::string engine;  ///< What builds, and where: `docker unix:///var/run/docker.sock`.
  std::size_t slots = 0;
  std::string history = {};  ///< URL of its history; empty: it serves none, because …
  /// Shows that who announced `history` has HISTORY_TOKEN: see `history_proof`.
  std::string history_proof = {};
  std::string no_history = {};  ///< … of this; empty as well: it is of a version without.

  /// Tells workers of one host apart: `host:pid`.
  [[nodiscard]] std::string process() const { return host + ":" + std::to_string(pid); }
};

/// One deployment that a worker runs.
struct RunningJob {
  domain::DeploymentId deployment;
  int attempt = 1;
  std::string phase;            ///< `start`, `fetch`, `build`, `promote`, `report`.
  std::string step;             ///< The last step that began, redacted; empty: none yet.
  std::chrono::seconds age{0};  ///< Since this worker took it.

  /// Whether they say the same but for the time that has passed.
  bool operator==(const RunningJob& other) const {
    return deployment == other.deployment && attempt == other.attempt && phase == other.phase &&
           step == other.step;
  }
};

/// What a worker does at the moment.
struct WorkerActivity {
  std::chrono::seconds age{0};  ///< Of the process.
  std::vector<RunningJob> running;

  bool operator==(const WorkerActivity& other) const { return running == other.running; }
};

/// Somebody asked workers to take no jobs.
struct Pause {
  std::string note;                                          ///< Why; may be empty.
  std::string by;                                            ///< `user@host`.
  std::chrono::sys_time<std::chrono::milliseconds> since{};  ///< By Redis's clock.

  bool operator==(const Pause&) const = default;
};

/// "by anna@ops since 2026-11-29T17:20:00Z: moving the disk".
std::string in_words(const Pause& pause);

}  // namespace builder::ports
