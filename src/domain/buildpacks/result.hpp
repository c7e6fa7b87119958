#pragma once

#include "base/result.hpp"
#include "domain/base_image.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::buildpacks {

struct Buildpack {
  std::string id;
  std::string version;

  [[nodiscard]] std::string str() const { return version.empty() ? id : id + " " + version; }

  auto operator<=>(const Buildpack&) const = default;
};

/// The digest in the lifecycle's report.toml; `internal` when there is none.
Result<std::string> read_report(std::string_view toml);

/// The buildpacks that took part: the lifecycle's group.toml. Empty when it cannot be read.
std::vector<Buildpack> read_group(std::string_view toml);

/// The process types of an image: label `io.buildpacks.build.metadata` of its configuration. Empty
/// when there is none; the default one first.
std::vector<std::string> read_processes(std::string_view config_json);

/// Which of the image's layers, counted from 0, holds what its buildpacks wrote about its content:
/// label `io.buildpacks.lifecycle.metadata`. nullopt: none does.
std::optional<std::size_t> sbom_layer(std::string_view config_json);

/// The run image that the lifecycle put the app upon, by the same label, with its digest; its name
/// is as registries know it, without a tag. nullopt: it does not say.
std::optional<BaseImage> read_run_image(std::string_view config_json);

}  // namespace builder::domain::buildpacks
