#pragma once

#include "base/stop.hpp"
#include "domain/build_event.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace builder::build {

/// Passes events on and notices when there are none: a build that hangs would keep its slot and its
/// service until the build timeout. Silent is a build of which nothing was heard for `limit` and
/// that used no processor time meanwhile, as far as that can be told.
///
/// `emit` is called from any thread. Watches on a thread of its own, from `begin` until `end`.
class SilenceWatch final : public domain::EventSink {
 public:
  /// `limit` zero: never silent. `computes` says whether the build used the processor since it was
  /// asked last; `on_silence` gets the step that ran last and is called at most once. Both are
  /// called by the watching thread.
  SilenceWatch(domain::EventSink& events, std::chrono::milliseconds limit,
               std::function<bool()> computes,
               std::function<void(const std::string& step)> on_silence);

  void emit(domain::BuildEvent event) override;
  void begin();

  /// Another limit from the next `begin` on.
  void set_limit(std::chrono::milliseconds limit) { limit_ = limit; }

  [[nodiscard]] std::chrono::milliseconds limit() const { return limit_; }

  void end();

 private:
  void run(const std::stop_token& stop);

  domain::EventSink& events_;
  std::chrono::milliseconds limit_;  // Changes while nothing watches.
  const std::function<bool()> computes_;
  const std::function<void(const std::string&)> on_silence_;
  std::mutex mutex_;
  std::condition_variable_any ended_;
  SteadyTime last_{};
  std::string step_;
  std::jthread thread_;
};

}  // namespace builder::build
