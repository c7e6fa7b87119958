#include "app/cli/view/redacted_events.hpp"

#include <utility>
#include <variant>

namespace builder::app::cli {

void RedactedEvents::emit(domain::BuildEvent event) {
  const std::scoped_lock lock(mutex_);
  std::visit([this](auto& what) { on(std::move(what)); }, event);
}

void RedactedEvents::finish(BuildSummary summary) {
  const std::scoped_lock lock(mutex_);
  while (!streams_.empty()) {
    end_output(streams_.begin()->first.first);
  }
  for (auto& [number, step] : steps_) {
    summary.steps.push_back(std::move(step));
  }
  summary.result = redact(summary.result);
  for (std::string& line : summary.details) {
    line = redact(line);
  }
  view_.finish(summary);
}

void RedactedEvents::on(domain::StepStarted event) {
  event.name = redact(event.name);
  view_.emit(std::move(event));
}

void RedactedEvents::on(domain::StepFinished event) {
  end_output(event.step);
  event.name = redact(event.name);
  event.error = redact(event.error);
  steps_[event.step] = {.step = event.step,
                        .name = event.name,
                        .duration = event.duration,
                        .cached = event.cached,
                        .error = event.error};
  view_.emit(std::move(event));
}

void RedactedEvents::on(domain::StepOutput event) {
  auto& stream =
      streams_.try_emplace({event.step, event.is_stderr}, secrets_.redactor()).first->second;
  event.data = stream.feed(event.data);
  if (!event.data.empty()) {
    view_.emit(std::move(event));
  }
}

void RedactedEvents::on(domain::Message event) {
  event.text = redact(event.text);
  view_.emit(std::move(event));
}

void RedactedEvents::on(domain::OutputLost event) {
  view_.emit(std::move(event));
}

void RedactedEvents::on(domain::Activity event) {
  event.line = redact(event.line);
  if (event.transfer) {
    event.transfer->name = redact(event.transfer->name);
  }
  view_.emit(std::move(event));
}

std::string RedactedEvents::redact(const std::string& text) const {
  return secrets_.redactor()->redact(text);
}

void RedactedEvents::end_output(std::uint32_t step) {
  for (const bool is_stderr : {false, true}) {
    if (auto stream = streams_.extract({step, is_stderr})) {
      if (std::string rest = stream.mapped().finish(); !rest.empty()) {
        view_.emit(
            domain::StepOutput{.step = step, .is_stderr = is_stderr, .data = std::move(rest)});
      }
    }
  }
}

}  // namespace builder::app::cli
