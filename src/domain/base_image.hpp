#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace builder::domain {

/// An image that a build takes something from.
struct BaseImage {
  std::string name;    ///< As registries know it: `docker.io/library/node:22`.
  std::string digest;  ///< `sha256:…`, what it stands for; empty: the engine does not tell.

  auto operator<=>(const BaseImage&) const = default;
};

/// How the name of a step begins that brings in the image of a `# syntax=` line.
inline constexpr std::string_view k_frontend_step = "docker-image://";

/// The image in the name of a step that brings one in, with its digest if the engine has asked the
/// registry for it: `[web 1/4] FROM docker.io/library/node:22@sha256:…`.
std::optional<BaseImage> base_image_of(std::string_view step);

}  // namespace builder::domain
