#pragma once

#include "base/secret_store.hpp"
#include "domain/build_event.hpp"
#include "domain/closing_words.hpp"
#include "domain/log_text.hpp"
#include "report/deployment_channel.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace builder::report {

/// Turns the events of one build into the rows the customer reads: splits output into lines, takes
/// out secrets and terminal control, and hands everything to the deployment's channel in the order
/// it came in. Thread-safe.
class EventLog final : public domain::EventSink {
 public:
  /// `secrets` are the deployment's, and outlive this.
  EventLog(DeploymentChannel& channel, const SecretStore::Registration& secrets)
      : channel_(channel), secrets_(secrets) {}

  void emit(domain::BuildEvent event) override;
  /// Keeps events back until it is known whether anybody wants them.
  void hold();
  void release();
  /// Nobody does: drops what was kept back, and what still comes.
  void discard();
  /// Passes on what steps that never finished had written.
  void finish();

  [[nodiscard]] domain::StepTally steps();

 private:
  struct Step {
    std::string name;
    std::unique_ptr<domain::LineAssembler> out;
    std::unique_ptr<domain::LineAssembler> err;
  };

  void on(const domain::StepStarted& event);
  void on(const domain::StepFinished& event);
  void on(const domain::StepOutput& event);
  void on(const domain::Message& event);
  void on(const domain::OutputLost& event);

  void on(const domain::Activity& event);

  static void finish_step(Step& step);
  void write(domain::LogType type, const std::string& text);

  DeploymentChannel& channel_;
  const SecretStore::Registration& secrets_;
  // Held while a line goes to the channel: that is what keeps the order of lines that come from
  // several threads.
  std::mutex mutex_;
  std::map<std::uint32_t, Step> running_;
  bool holds_ = false;
  bool discards_ = false;
  std::vector<domain::BuildEvent> held_;
  domain::StepTally steps_;
};

}  // namespace builder::report
