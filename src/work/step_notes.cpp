#include "work/step_notes.hpp"

#include "base/text.hpp"
#include "domain/log_text.hpp"
#include "domain/shown_steps.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace builder::work {

namespace {

/// How the name of a step begins that brings in an image: of a stage, of `COPY --from`, of a
/// `# syntax=` line, and of buildpacks.
constexpr auto k_before_image = std::to_array<std::string_view>(
    {"] FROM ", "FROM ", "docker-image://", "Builder image ", "Lifecycle image "});

}  // namespace

std::optional<BaseImage> base_image_of(std::string_view step) {
  std::string_view image =
      step.substr(step.starts_with('[') ? std::min(step.find(']'), step.size()) : std::size_t{0});
  const auto* const before = std::ranges::find_if(
      k_before_image, [&](std::string_view words) { return image.starts_with(words); });
  if (before == k_before_image.end()) {
    return std::nullopt;
  }
  image.remove_prefix(before->size());
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
