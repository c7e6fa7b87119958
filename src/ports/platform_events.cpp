#include "ports/platform_events.hpp"

#include <fmt/format.h>

#include <utility>
#include <variant>

namespace builder::ports {

std::string with_platform(std::string_view platform, std::string_view step) {
  // A bracket that no place of a stage follows is the customer's.
  return step.starts_with('[') && step.contains("] ")
             ? fmt::format("[{} {}", platform, step.substr(1))
             : fmt::format("[{}] {}", platform, step);
}

void PlatformEvents::emit(domain::BuildEvent event) {
  if (auto* started = std::get_if<domain::StepStarted>(&event)) {
    started->step = number(started->step);
    started->name = with_platform(platform_, started->name);
  } else if (auto* finished = std::get_if<domain::StepFinished>(&event)) {
    finished->step = number(finished->step);
    finished->name = with_platform(platform_, finished->name);
  } else if (auto* output = std::get_if<domain::StepOutput>(&event)) {
    output->step = number(output->step);
  } else if (auto* message = std::get_if<domain::Message>(&event)) {
    message->text = fmt::format("[{}] {}", platform_, message->text);
  } else if (auto* lost = std::get_if<domain::OutputLost>(&event)) {
    lost->why = fmt::format("[{}] {}", platform_, lost->why);
  } else if (auto* activity = std::get_if<domain::Activity>(&event)) {
    if (!activity->line.empty()) {
      activity->line = fmt::format("[{}] {}", platform_, activity->line);
    }
    if (activity->transfer) {
      activity->transfer->step = number(activity->transfer->step);
    }
    if (activity->waiting) {
      activity->waiting = number(*activity->waiting);
    }
  }
  events_.emit(std::move(event));
}

std::uint32_t PlatformEvents::number(std::uint32_t own) {
  const std::scoped_lock lock(mutex_);
  const auto [known, is_new] = numbers_.try_emplace(own, 0);
  if (is_new) {
    known->second = ++last_step_;
  }
  return known->second;
}

}  // namespace builder::ports
