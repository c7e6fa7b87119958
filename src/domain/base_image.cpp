#include "domain/base_image.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>

namespace builder::domain {

namespace {

/// How the name of a step begins that brings in an image: of a stage, of `COPY --from`, of a
/// `# syntax=` line, and of buildpacks.
constexpr auto k_before_image =
    std::to_array<std::string_view>({"] FROM ", "FROM ", k_frontend_step, "Builder image ",
                                     "Lifecycle image ", "] Builder image ", "] Lifecycle image "});

}  // namespace

std::string_view familiar_name(std::string_view name) {
  for (const std::string_view usual : {"docker.io/library/", "docker.io/"}) {
    if (name.starts_with(usual)) {
      return name.substr(usual.size());
    }
  }
  return name;
}

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
  const std::string_view name = image.substr(0, at);
  const std::string_view digest = image.substr(std::min(at + 1, image.size()));
  if (name.empty() || name.contains(' ') || (at < image.size() && !is_digest(digest))) {
    return std::nullopt;
  }
  return BaseImage{.name = std::string(name), .digest = std::string(digest)};
}

std::optional<std::string> tagged_image_of(std::string_view step) {
  constexpr std::string_view k_of_stage = "] load metadata for ";
  constexpr std::string_view k_of_frontend = "resolve image config for ";
  std::string_view image = step;
  const std::size_t bracket = std::min(step.find(']'), step.size());
  // With a platform before the word where there are several.
  if (step.starts_with('[') && step.substr(0, bracket).ends_with("internal") &&
      step.substr(bracket).starts_with(k_of_stage)) {
    image.remove_prefix(bracket + k_of_stage.size());
  } else if (step.starts_with(k_of_frontend)) {
    image.remove_prefix(k_of_frontend.size());
    if (image.starts_with(k_frontend_step)) {
      image.remove_prefix(k_frontend_step.size());
    }
  } else {
    return std::nullopt;
  }
  return image.empty() || image.contains('@') || image.contains(' ')
             ? std::nullopt
             : std::optional(std::string(image));
}

}  // namespace builder::domain
