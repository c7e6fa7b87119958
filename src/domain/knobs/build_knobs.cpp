#include "domain/knobs/build_knobs.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>

namespace builder::domain::knobs {

namespace {

template <class T>
void fill(std::optional<T>& over, std::optional<T>&& under) {
  if (!over) {
    over = std::move(under);
  }
}

std::string text_of(const std::string& value) {
  return value.empty() ? "." : printable_line(value);
}

std::string text_of(bool value) {
  return value ? "true" : "false";
}

std::string text_of(CacheSharing value) {
  return value == CacheSharing::service        ? "service"
         : value == CacheSharing::organization ? "organization"
                                               : "all";
}

std::string text_of(BuilderKind value) {
  return value == BuilderKind::dockerfile ? "dockerfile" : "buildpacks";
}

std::string text_of(BaseImages value) {
  return value == BaseImages::latest ? "latest" : "pinned";
}

std::string text_of(std::chrono::seconds value) {
  return builder::in_words(value);
}

std::string text_of(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) {
    text += (text.empty() ? "" : ", ") + printable_line(value);
  }
  return text;
}

template <class T>
void show(std::vector<ShownKnob>& list, std::string_view name,
          const std::optional<Chosen<T>>& knob) {
  if (knob) {
    list.push_back(
        {.name = std::string(name), .value = text_of(knob->value), .where = knob->where});
  }
}

void show(std::vector<ShownKnob>& list, std::string_view name, const Assignments& assignments) {
  for (const auto& [variable, value] : assignments) {
    list.push_back({.name = std::string(name),
                    .value = variable + (value.value ? "=…" : ""),
                    .where = value.where});
  }
}

}  // namespace

std::vector<ShownKnob> shown(const BuildKnobs& knobs) {
  std::vector<ShownKnob> list;
  show(list, "args", knobs.args);
  show(list, "base_images", knobs.base_images);
  show(list, "builder", knobs.builder);
  show(list, "builder_image", knobs.builder_image);
  show(list, "cache_sharing", knobs.cache_sharing);
  show(list, "context", knobs.context);
  show(list, "dockerfile", knobs.dockerfile);
  show(list, "env", knobs.env);
  show(list, "force", knobs.force);
  show(list, "ignored_paths", knobs.ignored_paths);
  show(list, "no_cache", knobs.no_cache);
  show(list, "platform", knobs.platform);
  show(list, "silence_timeout", knobs.silence_timeout);
  show(list, "target", knobs.target);
  show(list, "timeout", knobs.timeout);
  return list;
}

BuildKnobs merged(BuildKnobs over, BuildKnobs under) {
  fill(over.context, std::move(under.context));
  fill(over.dockerfile, std::move(under.dockerfile));
  fill(over.target, std::move(under.target));
  fill(over.platform, std::move(under.platform));
  fill(over.no_cache, std::move(under.no_cache));
  fill(over.force, std::move(under.force));
  fill(over.cache_sharing, std::move(under.cache_sharing));
  fill(over.builder, std::move(under.builder));
  fill(over.builder_image, std::move(under.builder_image));
  fill(over.timeout, std::move(under.timeout));
  fill(over.silence_timeout, std::move(under.silence_timeout));
  fill(over.ignored_paths, std::move(under.ignored_paths));
  fill(over.base_images, std::move(under.base_images));
  over.args.merge(under.args);
  over.env.merge(under.env);
  return over;
}

ChangeFilter::ChangeFilter(const std::vector<std::string>& ignored_paths, std::uint64_t steps)
    : ignored_(ignored_paths), budget_(steps) {
}

bool ChangeFilter::concerns(std::string_view path) {
  buildpacks::IgnoreRules::Folder parent;
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    buildpacks::IgnoreRules::Folder own;
    static_cast<void>(ignored_.matches(path.substr(0, slash), parent, &own, budget_));
    parent = std::move(own);
  }
  const bool ignored = ignored_.matches(path, parent, nullptr, budget_);
  return !ignored || budget_.exhausted();
}

}  // namespace builder::domain::knobs
