#pragma once

#include "domain/build_event.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace builder::ports {

/// The name of a step with its platform, as BuildKit writes it where one solve has several:
/// `[linux/arm64 web 2/4] RUN make`; of what stands outside of stages, `[linux/arm64] exporting to
/// image`.
std::string with_platform(std::string_view platform, std::string_view step);

/// The events of one of several solves that are one build: steps are numbered with those of the
/// others, and every line tells the platform. Thread-safe.
class PlatformEvents final : public domain::EventSink {
 public:
  /// `events` and `last_step`, the number that was given last, are shared with the other solves and
  /// outlive this.
  PlatformEvents(domain::EventSink& events, std::atomic<std::uint32_t>& last_step,
                 std::string platform)
      : events_(events), last_step_(last_step), platform_(std::move(platform)) {}

  void emit(domain::BuildEvent event) override;

 private:
  std::uint32_t number(std::uint32_t own);

  domain::EventSink& events_;
  std::atomic<std::uint32_t>& last_step_;
  const std::string platform_;
  std::mutex mutex_;
  std::map<std::uint32_t, std::uint32_t> numbers_;  // Own -> common.
};

}  // namespace builder::ports
