#pragma once

#include <string>
#include <string_view>

namespace builder::work {

/// Told by the run of a deployment how far it is. Called by the run's thread, but for the steps,
/// which several threads name, one at a time.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  /// `fetch`, `build`, `push`, `promote`, `report`.
  virtual void phase_begins(std::string_view phase) = 0;
  /// `name` is redacted, and short.
  virtual void step_begins(std::string name) = 0;
  /// The source is fetched and planned: what a stranger wrote was read. May wait.
  virtual void source_was_read() = 0;
  /// Nothing is built any more; the job is kept for a while before it goes back.
  virtual void rests() = 0;
};

}  // namespace builder::work
