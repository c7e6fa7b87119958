#pragma once

#include "base/result.hpp"

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

}  // namespace builder::domain::buildpacks
