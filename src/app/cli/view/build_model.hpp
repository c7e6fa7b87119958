#pragma once

#include "app/cli/view/output_rows.hpp"
#include "base/stop.hpp"
#include "domain/build_event.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace builder::app::cli {

/// What the transfers of one step come to.
struct TransferState {
  std::uint64_t current = 0;  ///< Bytes.
  std::uint64_t total = 0;    ///< 0: not known of all parts.
  std::size_t parts = 0;
  std::size_t done = 0;
  std::string part;  ///< The name of the latest one that is not done.
};

/// A step that has begun and not ended.
class RunningStep {
 public:
  RunningStep(std::string name, SteadyTime began) : name_(std::move(name)), began_(began) {}

  [[nodiscard]] const std::string& name() const { return name_; }

  [[nodiscard]] SteadyTime began() const { return began_; }

  /// Rests until another step needs it: a base image that was found and is not pulled yet.
  [[nodiscard]] bool is_waiting() const { return is_waiting_; }

  [[nodiscard]] const OutputRows& output() const { return output_; }

  [[nodiscard]] TransferState transfers() const;
  /// Bytes a second, in the last few seconds.
  [[nodiscard]] double rate(SteadyTime now) const;

 private:
  friend class BuildModel;

  struct Sample {
    SteadyTime at;
    std::uint64_t bytes;
  };

  void take(const domain::Transfer& transfer, SteadyTime now);

  std::string name_;
  SteadyTime began_;
  bool is_waiting_ = false;
  OutputRows output_;
  std::vector<domain::Transfer> transfers_;
  std::deque<Sample> samples_;
};

/// A row that stays: a step that has ended, or a word of ours.
struct HistoryRow {
  enum class Kind {
    done,
    cached,
    failed,
    stopped,  ///< Not its own fault: another one failed, or the build was aborted.
    message,
  };
  Kind kind = Kind::message;
  std::string text;
  std::chrono::milliseconds duration{0};
};

/// A step that has failed, with what it printed.
struct FailedRun {
  std::string name;
  std::string error;
  OutputRows output;
};

/// What is known of a build while it runs: events go in, with the time at which they came, and its
/// state comes out. Names and messages are safe to show. Not thread-safe.
class BuildModel {
 public:
  /// Of more warnings, the number is known.
  static constexpr std::size_t k_most_warnings = 100;
  static constexpr std::size_t k_most_errors = 200;
  static constexpr std::size_t k_most_failed_runs = 4;

  explicit BuildModel(SteadyTime began) : began_(began) {}

  void apply(const domain::BuildEvent& event, SteadyTime now);
  /// The build has ended: steps that run have been stopped.
  void stop_steps(SteadyTime now);

  [[nodiscard]] SteadyTime began() const { return began_; }

  /// By number, which is the order in which they began.
  [[nodiscard]] const std::map<std::uint32_t, RunningStep>& running() const { return running_; }

  /// The rows that have come since the last call.
  [[nodiscard]] std::vector<HistoryRow> take_history();

  [[nodiscard]] std::size_t ended() const { return ended_; }

  [[nodiscard]] std::size_t cached() const { return cached_; }

  /// Each once, in the order in which they came.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

  [[nodiscard]] std::size_t all_warnings() const { return warnings_.size() + more_warnings_; }

  [[nodiscard]] const std::vector<std::string>& errors() const { return errors_; }

  [[nodiscard]] const std::vector<FailedRun>& failed_runs() const { return failed_runs_; }

  /// What goes on beside the steps; empty: nothing that is known.
  [[nodiscard]] const std::string& activity() const { return activity_; }

 private:
  void on(const domain::StepStarted& event, SteadyTime now);
  void on(const domain::StepFinished& event, SteadyTime now);
  void on(const domain::StepOutput& event, SteadyTime now);
  void on(const domain::Message& event, SteadyTime now);
  void on(const domain::OutputLost& event, SteadyTime now);
  void on(const domain::Activity& event, SteadyTime now);

  void warn(const std::string& text);

  SteadyTime began_;
  std::map<std::uint32_t, RunningStep> running_;
  std::vector<HistoryRow> history_;
  std::size_t ended_ = 0;
  std::size_t cached_ = 0;
  std::vector<std::string> warnings_;
  std::size_t more_warnings_ = 0;
  std::vector<std::string> errors_;
  std::vector<FailedRun> failed_runs_;
  std::string activity_;
};

/// A step of the engine's own bookkeeping.
bool is_internal(const std::string& step_name);

}  // namespace builder::app::cli
