#pragma once

#include "domain/build_event.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace builder::build {

/// Passes events on and keeps the end of what each step prints, for whoever explains why a build
/// failed. The rows of a step's two streams are kept whole, in the order in which they ended: a
/// secret that one stream prints in pieces is in one piece here. Thread-safe.
class StepTails final : public domain::EventSink {
 public:
  /// Bytes that are kept of all steps that run. The output of the oldest is dropped first.
  static constexpr std::size_t k_most_running = std::size_t{4} * 1024 * 1024;

  explicit StepTails(domain::EventSink& events) : events_(events) {}

  void emit(domain::BuildEvent event) override;

  struct Tail {
    std::string name;    ///< Of the step.
    std::string error;   ///< Empty: it still runs.
    std::string output;  ///< The end of what it printed.
  };

  /// The step that failed: of those that printed something the one that began last, which is the
  /// innermost. Steps that ended because another one failed do not count.
  [[nodiscard]] std::optional<Tail> failed() const;
  /// The step that was at work when the build was stopped.
  [[nodiscard]] std::optional<Tail> interrupted() const;
  /// The build begins again.
  void forget();

 private:
  /// The row that a stream has not ended yet.
  struct Row {
    std::string text;
    bool is_cut = false;  ///< Its beginning is gone, so nothing of it is kept.
  };

  struct Step {
    Tail tail;
    std::array<Row, 2> rows;  ///< Of stdout and stderr.

    void take(const domain::StepOutput& event);
    void drop_output();
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] Tail whole() const;
  };

  using Steps = std::map<std::uint32_t, Step>;  // By number: in the order in which they began.

  static std::optional<Tail> last_of(const Steps& steps);

  void on(const domain::StepStarted& event);
  void on(const domain::StepOutput& event);
  void on(const domain::StepFinished& event);

  void on(const domain::Message&) {}

  void on(const domain::OutputLost&) {}

  void on(const domain::Activity&) {}

  void keep_bound(std::uint32_t writer);

  domain::EventSink& events_;
  mutable std::mutex mutex_;
  Steps running_;
  Steps failed_;
  Steps interrupted_;
};

/// The exit code in an engine's words about a step: `… exit code: 1`.
std::optional<int> exit_code_in(const std::string& error);

}  // namespace builder::build
