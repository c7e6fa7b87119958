#pragma once

#include "base/secret_store.hpp"
#include "base/sync.hpp"
#include "domain/base_image.hpp"
#include "domain/build_event.hpp"
#include "ports/build_history.hpp"
#include "work/run_observer.hpp"

#include <set>
#include <string>
#include <string_view>

namespace builder::work {

/// Passes the events of a build on, and notes its steps for people: which one began last, and which
/// have ended. Steps of the engine's own count when the customer's log shows them. Any thread.
class StepNotes final : public domain::EventSink {
 public:
  /// `record` null: there is no history. All outlive it.
  StepNotes(domain::EventSink& events, const SecretStore::Registration& secrets,
            RunObserver& observer, ports::RunRecord* record)
      : events_(events), secrets_(secrets), observer_(observer), record_(record) {}

  void emit(domain::BuildEvent event) override;

 private:
  void began(const domain::StepStarted& step);
  void ended(const domain::StepFinished& step);
  [[nodiscard]] std::string shown(std::string_view name) const;

  domain::EventSink& events_;
  const SecretStore::Registration& secrets_;
  RunObserver& observer_;
  ports::RunRecord* const record_;
  Sync<std::set<domain::BaseImage>> bases_;
};

}  // namespace builder::work
