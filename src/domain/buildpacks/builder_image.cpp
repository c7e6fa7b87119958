#include "domain/buildpacks/builder_image.hpp"

#include "base/json.hpp"
#include "domain/base_image.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace builder::domain::buildpacks {

namespace {

using nlohmann::json;

/// The platform knows how to speak these. 0.14 is left out: there the restorer chooses the run
/// image again, without regard to the target's registry.
constexpr ApiVersion k_newest{.major = 0, .minor = 13};
constexpr ApiVersion k_oldest{.major = 0, .minor = 7};
constexpr ApiVersion k_unsaid{.major = 0, .minor = 12};
constexpr std::size_t k_most_run_images = 32;

std::optional<std::uint32_t> variable_number(const json& config, std::string_view name) {
  for (const json& entry : part_of(config, "Env")) {
    const std::string text = text_of(entry);
    if (!text.starts_with(name) || text.size() <= name.size() || text[name.size()] != '=') {
      continue;
    }
    std::uint32_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data() + name.size() + 1, end, number);
    return error == std::errc() && stopped == end ? std::optional(number) : std::nullopt;
  }
  return std::nullopt;
}

std::vector<std::string> references_of(const json& list) {
  std::vector<std::string> references;
  if (list.is_array()) {
    for (const json& entry : list) {
      std::string text = text_of(entry);
      if (!text.empty() && text.size() <= k_longest_reference &&
          references.size() < k_most_run_images) {
        references.push_back(std::move(text));
      }
    }
  }
  return references;
}

void add_run_image(std::vector<RunImage>& images, const json& entry) {
  RunImage image{.image = text_of(entry, "image"),
                 .mirrors = references_of(part_of(entry, "mirrors"))};
  const bool known = std::ranges::any_of(
      images, [&image](const RunImage& other) { return other.image == image.image; });
  if (!image.image.empty() && image.image.size() <= k_longest_reference && !known &&
      images.size() < k_most_run_images) {
    images.push_back(std::move(image));
  }
}

std::vector<ApiVersion> versions_of(const json& list) {
  std::vector<ApiVersion> versions;
  if (list.is_array()) {
    for (const json& entry : list) {
      if (const auto version = parse_api_version(text_of(entry))) {
        versions.push_back(*version);
      }
    }
  }
  return versions;
}

Error unusable(std::string_view name, std::string_view why) {
  return {.kind = ErrorKind::invalid_input,
          .message = fmt::format("builder {}: {}", name, why),
          .customer = fmt::format("Builder {} cannot be used: {}; the operator can choose another",
                                  name.substr(0, 70), why)};
}

/// `host/path` and tag as Docker Hub's short names mean them, without a digest.
std::pair<std::string, std::string> split(std::string_view reference) {
  reference = reference.substr(0, reference.find('@'));
  std::string tag;
  const auto slash = reference.rfind('/');
  const auto colon = reference.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    tag = reference.substr(colon + 1);
    reference = reference.substr(0, colon);
  }
  for (const std::string_view hub : {"docker.io/", "index.docker.io/", "registry-1.docker.io/"}) {
    if (reference.starts_with(hub)) {
      reference.remove_prefix(hub.size());
      break;
    }
  }
  if (reference.starts_with("library/")) {
    reference.remove_prefix(8);
  }
  return {std::string(reference), tag};
}

}  // namespace

std::string ApiVersion::str() const {
  return fmt::format("{}.{}", major, minor);
}

std::optional<ApiVersion> parse_api_version(std::string_view text) {
  ApiVersion version;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, version.major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') {
    return std::nullopt;
  }
  const auto second = std::from_chars(first.ptr + 1, end, version.minor);
  if (second.ec != std::errc() || second.ptr != end || version.major < 0 || version.minor < 0) {
    return std::nullopt;
  }
  return version;
}

Result<BuilderImage> read_builder_image(std::string_view config_json, std::string_view name) {
  const json image = parse_json(config_json);
  const json config = part_of(image, "config");
  const json labels = part_of(config, "Labels");
  if (!config.is_object()) {
    return std::unexpected(unusable(name, "it is no container image"));
  }
  const auto user = variable_number(config, "CNB_USER_ID");
  const auto group = variable_number(config, "CNB_GROUP_ID");
  if (!user || !group) {
    return std::unexpected(
        unusable(name, "it does not say (CNB_USER_ID, CNB_GROUP_ID) as whom buildpacks run"));
  }
  if (*user == 0 || *group == 0) {
    return std::unexpected(unusable(name, "its buildpacks would run as root"));
  }
  const json extensions =
      parse_json(text_of(part_of(labels, "io.buildpacks.buildpack.order-extensions")));
  if (extensions.is_array() && !extensions.empty()) {
    return std::unexpected(unusable(name, "it uses image extensions, which are not supported"));
  }

  BuilderImage builder{.user_id = *user, .group_id = *group};
  const std::string system = text_of(image, "os");
  const std::string machine = text_of(image, "architecture");
  if (!system.empty() && !machine.empty()) {
    builder.platform = system + "/" + machine;
  }
  const json metadata = parse_json(text_of(labels, "io.buildpacks.builder.metadata"));
  if (const json images = part_of(metadata, "images"); images.is_array()) {
    for (const json& entry : images) {
      add_run_image(builder.run_images, entry);
    }
  }
  add_run_image(builder.run_images, part_of(part_of(metadata, "stack"), "runImage"));
  const json lifecycle = part_of(metadata, "lifecycle");
  builder.lifecycle_version = text_of(lifecycle, "version");
  builder.platform_apis =
      versions_of(part_of(part_of(part_of(lifecycle, "apis"), "platform"), "supported"));
  if (builder.platform_apis.empty()) {
    const json apis = parse_json(text_of(labels, "io.buildpacks.lifecycle.apis"));
    builder.platform_apis = versions_of(part_of(part_of(apis, "platform"), "supported"));
  }
  return builder;
}

Result<ApiVersion> choose_platform_api(const BuilderImage& builder, std::string_view name) {
  if (builder.platform_apis.empty()) {
    return k_unsaid;
  }
  std::optional<ApiVersion> best;
  for (const ApiVersion& version : builder.platform_apis) {
    if (version >= k_oldest && version <= k_newest && (!best || version > *best)) {
      best = version;
    }
  }
  if (!best) {
    return std::unexpected(
        unusable(name, fmt::format("its lifecycle supports none of the platform APIs {} to {}",
                                   k_oldest.str(), k_newest.str())));
  }
  return *best;
}

std::vector<std::string> run_image_candidates(const BuilderImage& builder,
                                              std::string_view target_registry) {
  std::vector<std::string> candidates;
  const auto add = [&candidates](const std::string& reference) {
    if (std::ranges::find(candidates, reference) == candidates.end()) {
      candidates.push_back(reference);
    }
  };
  const std::string near = std::string(target_registry) + "/";
  for (const RunImage& run : builder.run_images) {
    if (run.image.starts_with(near)) {
      add(run.image);
    }
    for (const std::string& mirror : run.mirrors) {
      if (mirror.starts_with(near)) {
        add(mirror);
      }
    }
  }
  for (const RunImage& run : builder.run_images) {
    add(run.image);
  }
  for (const RunImage& run : builder.run_images) {
    for (const std::string& mirror : run.mirrors) {
      add(mirror);
    }
  }
  return candidates;
}

bool is_listed(std::string_view reference, const std::vector<std::string>& list) {
  const auto [name, tag] = split(reference);
  return std::ranges::any_of(list, [&](const std::string& entry) {
    const auto [listed_name, listed_tag] = split(entry);
    return !name.empty() && name == listed_name &&
           (listed_tag.empty() || listed_tag == (tag.empty() ? "latest" : tag));
  });
}

bool is_archived_builder(std::string_view reference) {
  return split(reference).first == "paketobuildpacks/builder";
}

const std::vector<std::string>& known_builders() {
  static const std::vector<std::string> known{
      "paketobuildpacks/builder-jammy-base",
      "paketobuildpacks/builder-jammy-full",
      "paketobuildpacks/builder-jammy-tiny",
      "paketobuildpacks/builder-jammy-buildpackless-static",
      "paketobuildpacks/builder-ubi8-base",
      "paketobuildpacks/ubuntu-noble-builder",
      "paketobuildpacks/builder",
      "heroku/builder:20",
      "heroku/builder:22",
      "heroku/builder:24",
      "heroku/builder:26",
      "gcr.io/buildpacks/builder:google-22",
  };
  return known;
}

}  // namespace builder::domain::buildpacks
