#pragma once

#include "app/cli/view/summary.hpp"
#include "base/redactor.hpp"
#include "base/secret_store.hpp"

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace builder::app::cli {

/// What stands between a build and whoever shows it: takes the secrets out of every event, lets one
/// through at a time, and remembers the steps for the summary. Thread-safe.
class RedactedEvents final : public domain::EventSink {
 public:
  /// `secrets` may become more while it runs. Both outlive it.
  RedactedEvents(BuildView& view, const SecretStore::Registration& secrets)
      : view_(view), secrets_(secrets) {}

  void emit(domain::BuildEvent event) override;
  /// The build has ended: passes on what steps had still to say, and `summary` with the steps, and
  /// without secrets.
  void finish(BuildSummary summary);

 private:
  using Stream = std::pair<std::uint32_t, bool>;  ///< Of a step, its stderr or not.

  void on(domain::StepStarted event);
  void on(domain::StepFinished event);
  void on(domain::StepOutput event);
  void on(domain::Message event);
  void on(domain::OutputLost event);
  void on(domain::Activity event);
  [[nodiscard]] std::string redact(const std::string& text) const;
  void end_output(std::uint32_t step);

  BuildView& view_;
  const SecretStore::Registration& secrets_;
  std::mutex mutex_;
  std::map<Stream, RedactingStream> streams_;
  std::map<std::uint32_t, StepSummary> steps_;
};

}  // namespace builder::app::cli
