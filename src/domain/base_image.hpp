#pragma once

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace builder::domain {

/// A longer name of an image is none that a registry has.
inline constexpr std::size_t k_longest_reference = 512;

/// An image that a build takes something from.
struct BaseImage {
  std::string name;    ///< As registries know it: `docker.io/library/node:22`.
  std::string digest;  ///< `sha256:…`, what it stands for; empty: the engine does not tell.

  auto operator<=>(const BaseImage&) const = default;
};

/// Which version of an image a build takes where its Dockerfile names one by a tag: what the
/// registry has at that moment, or what the service's last builds took.
enum class BaseImages { latest, pinned };

/// A name as people write it in a Dockerfile: `docker.io/library/node:22` -> `node:22`.
std::string_view familiar_name(std::string_view name);

/// How the name of a step begins that brings in the image of a `# syntax=` line.
inline constexpr std::string_view k_frontend_step = "docker-image://";

/// The image in the name of a step that brings one in, with its digest if the engine has asked the
/// registry for it: `[web 1/4] FROM docker.io/library/node:22@sha256:…`.
std::optional<BaseImage> base_image_of(std::string_view step);

/// The name of the image in the name of a step that asks a registry what it stands for: `[internal]
/// load metadata for docker.io/library/node:22`. nullopt: no such step, or its digest was written
/// down.
std::optional<std::string> tagged_image_of(std::string_view step);

}  // namespace builder::domain
