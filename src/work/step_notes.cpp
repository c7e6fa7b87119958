#include "work/step_notes.hpp"

#include "base/text.hpp"
#include "domain/log_text.hpp"
#include "domain/shown_steps.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace builder::work {

std::optional<BaseImage> base_image_of(std::string_view step) {
  constexpr std::string_view k_from = "] FROM ";
  const std::size_t from = step.find(']');
  if (!step.starts_with('[') || from == std::string_view::npos ||
      !step.substr(from).starts_with(k_from)) {
    return std::nullopt;
  }
  const std::string_view image = step.substr(from + k_from.size());
  const std::size_t at = std::min(image.find('@'), image.size());
  const std::string_view reference = image.substr(0, at);
  const std::string_view digest = image.substr(std::min(at + 1, image.size()));
  if (reference.empty() || reference.contains(' ') || (at < image.size() && !is_digest(digest))) {
    return std::nullopt;
  }
  return BaseImage{.reference = std::string(reference), .digest = std::string(digest)};
}

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
  if (auto base = record_ == nullptr ? std::nullopt : base_image_of(name);
      base && bases_.lock()->insert(*base).second) {
    record_->base(std::move(base->reference), std::move(base->digest));
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
