#pragma once

#include "domain/build_event.hpp"
#include "domain/buildpacks/lifecycle_output.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace builder::adapters::cnb {

/// Between a solve and the build's events: shows the phases of the lifecycle and each buildpack as
/// steps in place of the generated Dockerfile's, and keeps the trace that explains a failure. One
/// per solve. Called by one thread at a time.
class PhaseEvents final : public domain::EventSink {
 public:
  PhaseEvents(domain::EventSink& events, std::uint32_t first_step)
      : events_(events), next_step_(first_step) {}

  void emit(domain::BuildEvent event) override;
  /// No more events will come.
  void finish();

  [[nodiscard]] const domain::buildpacks::BuildTrace& trace() const { return reader_.trace(); }

  [[nodiscard]] std::uint32_t next_step() const { return next_step_; }

  /// How long the phase that puts the image into the registry took.
  [[nodiscard]] std::chrono::steady_clock::duration export_time() const { return export_time_; }

 private:
  using Clock = std::chrono::steady_clock;

  struct OpenStep {
    std::uint32_t number = 0;
    std::string name;
    Clock::time_point started;
  };

  /// A step of the solve: one of the lifecycle's, or one that brings in an image or the app.
  struct SolveStep {
    bool is_lifecycle = false;
    std::optional<OpenStep> shown;
    std::string out;  ///< The beginning of a line.
    std::string err;
  };

  void on(const domain::StepStarted& event);
  void on(const domain::StepFinished& event);
  void on(const domain::StepOutput& event);
  void on(const domain::Message& event);
  void on(const domain::OutputLost& event);
  void on(const domain::Activity& event);

  void line(std::string_view text, bool is_stderr);
  void show(std::string_view text, bool is_stderr);
  void begin_phase(const std::string& name);
  void begin_buildpack(const std::string& name);
  void end_buildpack(const std::string& error);
  void end_phase(const std::string& error);
  void show_early();
  void show_detection();
  OpenStep begin(std::string name);
  void end(const OpenStep& step, bool cached, const std::string& error);

  domain::EventSink& events_;
  domain::buildpacks::LifecycleReader reader_;
  std::uint32_t next_step_;
  std::map<std::uint32_t, SolveStep> steps_;
  std::optional<OpenStep> phase_;
  std::optional<OpenStep> buildpack_;
  std::vector<std::string> detection_;  ///< Shown when detection fails.
  /// What a buildpack said that has not begun: its words come on another stream than the news of
  /// it, and may be here before.
  std::vector<std::string> early_;
  Clock::duration export_time_{0};
};

}  // namespace builder::adapters::cnb
