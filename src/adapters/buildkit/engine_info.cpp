#include "adapters/buildkit/engine_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace builder::adapters::buildkit {

namespace {

/// The BuildKit in the first release of each Engine line whose BuildKit does not name its version.
constexpr std::array<std::pair<int, BuildkitVersion>, 3> k_silent_engines{{
    {23, {0, 10}},
    {20, {0, 8}},
    {0, {0, 6}},
}};

struct Feature {
  std::string_view attribute;  ///< As the frontend calls it; a prefix when it ends with ':'.
  BuildkitVersion since;
};

constexpr std::array<Feature, 14> k_attributes{{
    {"ulimit", {0, 10}},
    {"shm-size", {0, 10}},
    {"cgroup-parent", {0, 10}},
    {"attest:", {0, 11}},
    {"build-arg:SOURCE_DATE_EPOCH", {0, 11}},
    {"context:", {0, 10}},
    // Read in 0.33, not in 0.26.
    {"memory", {0, 33}},
    {"memswap", {0, 33}},
    {"cpushares", {0, 33}},
    {"cpuperiod", {0, 33}},
    {"cpuquota", {0, 33}},
    {"cpusetcpus", {0, 33}},
    {"cpusetmems", {0, 33}},
    {"multi-platform", {0, 10}},
}};

constexpr BuildkitVersion k_heredocs{0, 10};
constexpr BuildkitVersion k_source_policies{0, 11};
constexpr BuildkitVersion k_image_epoch{0, 11};
/// The check InvalidBaseImagePlatform.
constexpr BuildkitVersion k_foreign_bases{0, 14};
constexpr BuildkitVersion k_split_status{0, 10};
/// Seen in 0.22 and later, not in 0.8.
constexpr BuildkitVersion k_cache_ids{0, 10};

bool is_older(const EngineInfo& engine, BuildkitVersion version) {
  return engine.buildkit && *engine.buildkit < version;
}

}  // namespace

std::optional<BuildkitVersion> parse_version(std::string_view text) {
  if (text.starts_with('v')) {
    text.remove_prefix(1);
  }
  BuildkitVersion version;
  const char* const end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, version.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') {
    return std::nullopt;
  }
  const auto minor = std::from_chars(major.ptr + 1, end, version.minor);
  if (minor.ec != std::errc() || version == BuildkitVersion{}) {
    return std::nullopt;
  }
  return version;
}

EngineInfo docker_engine_info(std::string_view version, std::string_view api_version,
                              const BuildkitDescription& buildkit) {
  EngineInfo info;
  if (buildkit.version) {
    info.buildkit = parse_version(*buildkit.version);
  } else if (const auto engine = parse_version(version)) {
    info.buildkit = std::ranges::find_if(k_silent_engines, [&](const auto& entry) {
                      return engine->major >= entry.first;
                    })->second;
  }
  // Before it knew source policies, nothing kept a build away from what the login to push with can
  // read.
  const bool has_containerd_store = buildkit.labels.contains(std::string(k_snapshotter));
  info.exports_to_registry = has_containerd_store && has_source_policies(info);
  info.platform = buildkit.platform;
  info.name = fmt::format("Docker Engine {} (API {}{}{})", version, api_version,
                          buildkit.version ? ", BuildKit " + *buildkit.version : "",
                          has_containerd_store ? ", containerd image store" : "");
  return info;
}

EngineInfo buildkitd_info(std::string_view version) {
  return {.name = fmt::format("BuildKit {}", version),
          .buildkit = parse_version(version),
          .exports_to_registry = true};
}

std::vector<std::string> missing_features(const EngineInfo& engine) {
  std::vector<std::string> missing;
  if (is_older(engine, k_heredocs)) {
    missing.emplace_back("heredocs and COPY --link without a '# syntax=' line");
    missing.emplace_back("typed errors and warnings (lines are found by the step's text)");
    missing.emplace_back("ulimit, shm-size and cgroup-parent of a build");
  }
  if (is_older(engine, k_source_policies)) {
    missing.emplace_back("attestations and SOURCE_DATE_EPOCH");
    missing.emplace_back(
        "source policies (no image of the platform's registry can be a base image; addresses in a "
        "Dockerfile are checked by its text alone)");
  }
  if (is_older(engine, {0, 33})) {
    missing.emplace_back("memory and CPU limits of a build");
  }
  return missing;
}

bool knows_attribute(const EngineInfo& engine, std::string_view attribute) {
  return std::ranges::none_of(k_attributes, [&](const Feature& feature) {
    const bool named = feature.attribute.ends_with(':') ? attribute.starts_with(feature.attribute)
                                                        : attribute == feature.attribute;
    return named && is_older(engine, feature.since);
  });
}

bool has_source_policies(const EngineInfo& engine) {
  return !is_older(engine, k_source_policies);
}

bool has_image_epoch(const EngineInfo& engine) {
  return !is_older(engine, k_image_epoch);
}

bool names_foreign_bases(const EngineInfo& engine) {
  return !is_older(engine, k_foreign_bases);
}

bool forgets_cache_ids(const EngineInfo& engine) {
  return !is_older(engine, k_cache_ids);
}

bool status_goes_astray(const EngineInfo& engine) {
  return is_older(engine, k_split_status);
}

}  // namespace builder::adapters::buildkit
