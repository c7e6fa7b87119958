#include "work/step_notes.hpp"

#include "base/text.hpp"
#include "domain/log_text.hpp"
#include "domain/shown_steps.hpp"

#include <utility>
#include <variant>

namespace builder::work {

void StepNotes::emit(domain::BuildEvent event) {
  if (const auto* step = std::get_if<domain::StepStarted>(&event)) {
    began(*step);
  } else if (const auto* ended_step = std::get_if<domain::StepFinished>(&event)) {
    ended(*ended_step);
  }
  events_.emit(std::move(event));
}

std::string StepNotes::shown(std::string_view name) const {
  return domain::shown_line(secrets_.redactor(), name);
}

void StepNotes::began(const domain::StepStarted& step) {
  constexpr std::size_t k_shown = 100;
  const std::string name = shown(step.name);
  observer_.step_begins(truncate_characters(name, k_shown));
  if (auto base = record_ == nullptr ? std::nullopt : domain::base_image_of(name);
      base && bases_.lock()->insert(*base).second) {
    record_->base(std::move(base->name), std::move(base->digest));
  }
}

void StepNotes::ended(const domain::StepFinished& step) {
  if (record_ != nullptr && domain::is_shown(step)) {
    record_->step({.name = shown(step.name),
                   .duration = step.duration,
                   .cached = step.cached,
                   .failed = !step.error.empty()});
  }
}

}  // namespace builder::work
