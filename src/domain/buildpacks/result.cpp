#include "domain/buildpacks/result.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/toml.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace builder::domain::buildpacks {

namespace {

using nlohmann::json;

constexpr std::size_t k_most = 200;
constexpr std::size_t k_longest_name = 200;

/// Names come from strangers' buildpacks and are shown.
std::string shown_name(std::string_view text) {
  return printable_line(text.substr(0, k_longest_name));
}

/// What the lifecycle says of the image that it made, in a label.
json lifecycle_metadata(const json& image) {
  return parse_json(text_of(
      part_of(part_of(part_of(image, "config"), "Labels"), "io.buildpacks.lifecycle.metadata")));
}

}  // namespace

Result<std::string> read_report(std::string_view content) {
  const auto report = parse_toml(content);
  const auto digest =
      report ? (*report)["image"]["digest"].value<std::string>() : std::optional<std::string>();
  if (!digest || digest->empty()) {
    return failure(ErrorKind::internal, "the lifecycle's report names no digest");
  }
  return *digest;
}

std::vector<Buildpack> read_group(std::string_view content) {
  std::vector<Buildpack> group;
  const auto table = parse_toml(content);
  const toml::array* list = table ? (*table)["group"].as_array() : nullptr;
  if (list == nullptr) {
    return group;
  }
  for (const toml::node& entry : *list) {
    if (const toml::table* buildpack = entry.as_table();
        buildpack != nullptr && group.size() < k_most) {
      group.push_back({.id = shown_name((*buildpack)["id"].value_or(std::string())),
                       .version = shown_name((*buildpack)["version"].value_or(std::string()))});
    }
  }
  return group;
}

std::vector<std::string> read_processes(std::string_view config_json) {
  const json image = parse_json(config_json);
  const json config = part_of(image, "config");
  const json metadata =
      parse_json(text_of(part_of(part_of(config, "Labels"), "io.buildpacks.build.metadata")));
  std::vector<std::string> types;
  for (const json& process : part_of(metadata, "processes")) {
    if (const std::string type = text_of(process, "type"); !type.empty() && types.size() < k_most) {
      types.push_back(shown_name(type));
    }
  }
  // The entrypoint names the default: /cnb/process/web.
  const json entrypoint = part_of(config, "Entrypoint");
  if (entrypoint.is_array() && !entrypoint.empty()) {
    const std::string path = text_of(entrypoint.front());
    const auto found = std::ranges::find(types, path.substr(path.rfind('/') + 1));
    if (found != types.end()) {
      std::rotate(types.begin(), found, found + 1);
    }
  }
  return types;
}

std::optional<std::size_t> sbom_layer(std::string_view config_json) {
  const json image = parse_json(config_json);
  const std::string wanted = text_of(part_of(part_of(lifecycle_metadata(image), "sbom"), "sha"));
  const json layers = part_of(part_of(image, "rootfs"), "diff_ids");
  if (wanted.empty() || !layers.is_array()) {
    return std::nullopt;
  }
  const auto found = std::ranges::find(layers, json(wanted));
  return found == layers.end()
             ? std::nullopt
             : std::optional(static_cast<std::size_t>(std::distance(layers.begin(), found)));
}

std::optional<BaseImage> read_run_image(std::string_view config_json) {
  const json run = part_of(lifecycle_metadata(parse_json(config_json)), "runImage");
  const std::string reference = text_of(run, "reference");
  const auto at = reference.find('@');
  if (at == std::string::npos || !is_digest(reference.substr(at + 1))) {
    return std::nullopt;
  }
  BaseImage image{.name = reference.substr(0, at), .digest = reference.substr(at + 1)};
  constexpr std::string_view k_hub = "index.docker.io/";
  if (image.name.starts_with(k_hub)) {
    image.name = "docker.io/" + image.name.substr(k_hub.size());
  }
  image.name = shown_name(image.name);
  return image;
}

}  // namespace builder::domain::buildpacks
