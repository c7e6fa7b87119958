#pragma once

#include "base/result.hpp"
#include "domain/build_event.hpp"
#include "domain/ids.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What a worker remembers of the deployments it has run, for the people who look after it. Every
/// text in here is behind the redactor, and no value of a variable and no credential is kept.
namespace builder::ports {

using HistoryTime = std::chrono::sys_time<std::chrono::milliseconds>;

/// What is known when a deployment begins to run here.
struct RunStart {
  domain::DeploymentId deployment;
  domain::ServiceId service;
  int attempt = 1;         ///< 0: an end without a build.
  std::string repository;  ///< URL without login.
  std::string branch;
  std::string dockerfile;              ///< As the job names it; empty: it names none.
  std::vector<std::string> variables;  ///< Names.
  /// Of the worker's settings those that an image depends on, by name and value. The operator's
  /// words, none of them a secret. Empty: not known.
  std::vector<std::pair<std::string, std::string>> settings;
  std::uint16_t port = 0;  ///< Of the container, which buildpacks are told; 0: none.
  std::string engine;
  std::string version;  ///< Of the worker.
  std::string worker;   ///< `host:pid`.
};

/// A step of the build that has ended.
struct RunStep {
  std::string name;
  std::chrono::milliseconds duration{0};
  bool cached = false;
  bool failed = false;
};

/// What is known when it has ended.
struct RunEnd {
  std::string outcome;   ///< `report::to_string(Outcome)`.
  std::string category;  ///< Of a failure, as `failures_total` counts it; empty: none.
  std::string reason;
  std::string line;    ///< What the customer was told; empty: nothing.
  std::string advice;  ///< What a rule suggests.
  std::string commit;
  std::string image;   ///< As it was reported; empty: none.
  std::string digest;  ///< `sha256:…`.
  std::uint64_t context_bytes = 0;
  std::uint64_t pushed_bytes = 0;  ///< 0: the engine does not tell.
};

/// Takes down one run; over with the object, which must not outlive its history. Thread-safe. No
/// call waits for the disk: what cannot be written in time is left out and counted.
class RunRecord {
 public:
  virtual ~RunRecord() = default;
  virtual void phase(std::string_view name) = 0;
  virtual void step(RunStep step) = 0;
  /// An image that this one is made of, as a step names it: `docker.io/library/node:22`,
  /// `sha256:…`; an empty digest: the engine does not tell.
  virtual void base(std::string reference, std::string digest) = 0;
  /// A line of the customer's log.
  virtual void row(domain::LogType type, std::string_view line) = 0;
  virtual void end(RunEnd end) = 0;
};

class BuildHistory {
 public:
  virtual ~BuildHistory() = default;
  virtual std::unique_ptr<RunRecord> begin(RunStart start) = 0;
};

/// Outcomes of runs that have no end: one that goes on, and one whose worker is gone (killed) or
/// could not write the end.
inline constexpr std::string_view k_running = "running";
inline constexpr std::string_view k_interrupted = "interrupted";

/// A row of the list.
struct KeptRun {
  std::int64_t id = 0;  ///< Of this run in this history; later ones have higher ones.
  RunStart start;
  HistoryTime started{};
  std::optional<HistoryTime> ended;  ///< None: it runs, or its worker ended without a word.
  RunEnd end;                        ///< Its outcome is `k_running` or `k_interrupted` then.
  std::size_t steps = 0;
  std::size_t cached = 0;
};

/// All of one run but its log.
struct KeptRunDetails {
  KeptRun run;
  /// In their order, with how long they took; 0: it has not ended.
  std::vector<std::pair<std::string, std::chrono::milliseconds>> phases;
  std::vector<RunStep> steps;
  std::vector<std::pair<std::string, std::string>> bases;  ///< Reference, digest.
  std::uint64_t rows = 0;       ///< Of its log, those that were lost among them.
  std::uint64_t rows_lost = 0;  ///< Not kept: beyond a limit, or not written in time.
};

struct KeptRow {
  std::uint64_t number = 0;  ///< In its log, from 0; where rows were lost, some are missing.
  HistoryTime time{};
  domain::LogType type{};
  std::string line;
};

/// What is asked for; empty: all.
struct RunFilter {
  std::string service;
  std::string outcome;  ///< `k_running` and `k_interrupted` too.
  std::optional<HistoryTime> since;
  std::optional<std::int64_t> before;  ///< Only runs with a lower id: the next page.
  std::size_t most = 20;
};

/// Reads a history, also while its worker writes it. One thread. Errors: `not_found` (there is
/// none), `unavailable`, `conflict` (of another version), `invalid_input` (damaged).
class HistoryReader {
 public:
  virtual ~HistoryReader() = default;
  /// The newest first.
  virtual Result<std::vector<KeptRun>> list(const RunFilter& filter) = 0;
  /// The newest 20 runs of a deployment here, the newest first; empty: none is kept.
  virtual Result<std::vector<KeptRunDetails>> find(const domain::DeploymentId& deployment) = 0;
  /// At most `most` rows of a run's log, the first with the number `from` or the next that is kept.
  /// Whoever reads on asks from the last one's number + 1.
  virtual Result<std::vector<KeptRow>> log(std::int64_t run, std::uint64_t from,
                                           std::size_t most) = 0;
};

}  // namespace builder::ports
