#pragma once

#include "domain/build_event.hpp"

#include <algorithm>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace builder::fakes {

/// Keeps every event as a line of text, in order:
/// `start 1 NAME`, `out 1 DATA`, `err 1 DATA`, `done 1`, `cached 1`, `failed 1 ERROR`,
/// `INFO text`, `lost WHY`. Thread-safe.
class RecordingEvents final : public domain::EventSink {
 public:
  void emit(domain::BuildEvent event) override {
    if (const auto* activity = std::get_if<domain::Activity>(&event)) {
      const std::scoped_lock lock(mutex_);
      ++activities_;
      if (!activity->line.empty()) {
        progress_.push_back(activity->line);
      }
      if (const auto& transfer = activity->transfer) {
        transfers_.push_back(std::to_string(transfer->step) + " " + transfer->name + " " +
                             std::to_string(transfer->current) + "/" +
                             std::to_string(transfer->total) + (transfer->done ? " done" : ""));
      }
      if (activity->waiting) {
        transfers_.push_back(std::to_string(*activity->waiting) + " waits");
      }
      return;
    }
    const std::string line = std::visit([](const auto& value) { return describe(value); }, event);
    {
      const std::scoped_lock lock(mutex_);
      lines_.push_back(line);
      if (const auto* output = std::get_if<domain::StepOutput>(&event)) {
        output_ += output->data;
      }
    }
    if (on_line) {
      on_line(line);
    }
  }

  [[nodiscard]] std::vector<std::string> lines() const {
    const std::scoped_lock lock(mutex_);
    return lines_;
  }

  /// All step output, joined.
  [[nodiscard]] std::string output() const {
    const std::scoped_lock lock(mutex_);
    return output_;
  }

  [[nodiscard]] bool contains(std::string_view text) const {
    const std::scoped_lock lock(mutex_);
    return std::ranges::any_of(
        lines_, [text](const std::string& line) { return line.find(text) != std::string::npos; });
  }

  /// How often something went on.
  [[nodiscard]] std::size_t activities() const {
    const std::scoped_lock lock(mutex_);
    return activities_;
  }

  /// The lines of what went on.
  [[nodiscard]] std::vector<std::string> progress() const {
    const std::scoped_lock lock(mutex_);
    return progress_;
  }

  /// `STEP NAME CURRENT/TOTAL[ done]` and `STEP waits`.
  [[nodiscard]] std::vector<std::string> transfers() const {
    const std::scoped_lock lock(mutex_);
    return transfers_;
  }

  /// Called with each line; set before the first event.
  std::function<void(const std::string&)> on_line;

 private:
  static std::string describe(const domain::StepStarted& event) {
    return "start " + std::to_string(event.step) + " " + event.name;
  }

  static std::string describe(const domain::StepFinished& event) {
    if (!event.error.empty()) {
      return "failed " + std::to_string(event.step) + " " + event.error;
    }
    return (event.cached ? "cached " : "done ") + std::to_string(event.step);
  }

  static std::string describe(const domain::StepOutput& event) {
    return (event.is_stderr ? "err " : "out ") + std::to_string(event.step) + " " + event.data;
  }

  static std::string describe(const domain::Message& event) {
    return std::string(to_string(event.type)) + " " + event.text;
  }

  static std::string describe(const domain::OutputLost& event) { return "lost " + event.why; }

  static std::string describe(const domain::Activity&) { return {}; }

  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  std::vector<std::string> progress_;
  std::vector<std::string> transfers_;
  std::string output_;
  std::size_t activities_ = 0;
};

}  // namespace builder::fakes
