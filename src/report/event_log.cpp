#include "report/event_log.hpp"

#include "domain/shown_steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::report {

using domain::LogType;

void EventLog::emit(domain::BuildEvent event) {
  const std::scoped_lock lock(mutex_);
  const auto* activity = std::get_if<domain::Activity>(&event);
  if (discards_ || (activity != nullptr && activity->line.empty())) {
    return;  // A sign of life has no row.
  }
  if (holds_) {
    held_.push_back(std::move(event));
    return;
  }
  std::visit([this](const auto& what) { on(what); }, event);
}

void EventLog::hold() {
  const std::scoped_lock lock(mutex_);
  holds_ = true;
}

void EventLog::release() {
  const std::scoped_lock lock(mutex_);
  holds_ = false;
  for (const domain::BuildEvent& event : std::exchange(held_, {})) {
    std::visit([this](const auto& what) { on(what); }, event);
  }
}

void EventLog::discard() {
  const std::scoped_lock lock(mutex_);
  discards_ = true;
  held_.clear();
}

void EventLog::finish() {
  const std::scoped_lock lock(mutex_);
  for (auto& [number, step] : running_) {
    finish_step(step);
  }
  running_.clear();
}

domain::StepTally EventLog::steps() {
  const std::scoped_lock lock(mutex_);
  return steps_;
}

void EventLog::on(const domain::StepStarted& event) {
  running_[event.step].name = event.name;
  if (!domain::is_internal_step(event.name)) {
    write(LogType::info, fmt::format("#{} {}", event.step, event.name));
  }
}

void EventLog::on(const domain::StepFinished& event) {
  if (const auto step = running_.find(event.step); step != running_.end()) {
    finish_step(step->second);
    running_.erase(step);
  }
  const std::string number = domain::is_internal_step(event.name)
                                 ? fmt::format("#{} {}", event.step, event.name)
                                 : fmt::format("#{}", event.step);
  if (event.error.empty()) {  // What failed may have been repeated.
    steps_.add(domain::shown_line(secrets_.redactor(), event.name), event.duration, event.cached);
  }
  const double seconds = std::chrono::duration<double>(event.duration).count();
  if (!event.error.empty()) {
    write(LogType::error, fmt::format("{} ERROR: {}", number, event.error));
  } else if (domain::is_shown(event)) {
    write(LogType::info,
          event.cached ? number + " CACHED" : fmt::format("{} DONE {:.1f}s", number, seconds));
  }
}

void EventLog::on(const domain::StepOutput& event) {
  Step& step = running_[event.step];
  auto& assembler = event.is_stderr ? step.err : step.out;
  if (assembler == nullptr) {
    assembler = std::make_unique<domain::LineAssembler>(
        secrets_.redactor(),
        [this, number = event.step,
         type = event.is_stderr ? LogType::stderr_ : LogType::stdout_](const std::string& row) {
          // Rows of steps that print side by side say which step they belong to.
          const auto printing = std::ranges::count_if(running_, [](const auto& entry) {
            return entry.second.out != nullptr || entry.second.err != nullptr;
          });
          channel_.append(type, printing > 1 ? fmt::format("#{} {}", number, row) : row);
        });
  }
  assembler->feed(event.data);
}

void EventLog::on(const domain::Message& event) {
  write(event.type, event.text);
}

void EventLog::on(const domain::OutputLost& event) {
  channel_.note_lost_output();
  write(LogType::warning, event.why);
}

void EventLog::on(const domain::Activity& event) {
  if (!event.line.empty()) {
    write(LogType::info, event.line);
  }
}

void EventLog::finish_step(Step& step) {
  for (const auto& assembler : {step.out.get(), step.err.get()}) {
    if (assembler != nullptr) {
      assembler->finish();
    }
  }
}

void EventLog::write(LogType type, const std::string& text) {
  // Text of ours may quote what strangers wrote: it gets the same treatment as their output.
  domain::LineAssembler row(secrets_.redactor(),
                            [&](const std::string& line) { channel_.append(type, line); });
  row.feed(text);
  row.finish();
}

}  // namespace builder::report
