#pragma once

#include "domain/build_event.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace builder::build {

/// Passes events on and keeps the end of what each step prints, for whoever explains why a build
/// failed. Thread-safe.
class StepTails final : public domain::EventSink {
 public:
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
  using Steps = std::map<std::uint32_t, Tail>;  // By number: in the order in which they began.

  void on(const domain::StepStarted& event);
  void on(const domain::StepOutput& event);
  void on(const domain::StepFinished& event);

  void on(const domain::Message&) {}

  void on(const domain::OutputLost&) {}

  void on(const domain::Activity&) {}

  domain::EventSink& events_;
  mutable std::mutex mutex_;
  Steps running_;
  Steps failed_;
  Steps interrupted_;
};

/// The exit code in an engine's words about a step: `… exit code: 1`.
std::optional<int> exit_code_in(const std::string& error);

}  // namespace builder::build
