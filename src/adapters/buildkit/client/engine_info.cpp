#include "adapters/buildkit/client/engine_info.hpp"

#include "base/text.hpp"
#include "domain/platform_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace builder::adapters::buildkit {

namespace {

using domain::Version;

/// The BuildKit in the first release of each Engine line whose BuildKit does not name its version.
constexpr std::array<std::pair<int, Version>, 3> k_silent_engines{{
    {23, {0, 10}},
    {20, {0, 8}},
    {0, {0, 6}},
}};

struct Feature {
  std::string_view attribute;  ///< As the frontend calls it; a prefix when it ends with ':'.
  Version since;
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

constexpr Version k_heredocs{0, 10};
constexpr Version k_source_policies{0, 11};
constexpr Version k_image_epoch{0, 11};
/// The check InvalidBaseImagePlatform.
constexpr Version k_foreign_bases{0, 14};
constexpr Version k_split_status{0, 10};
constexpr Version k_proxy_network{0, 31};
/// Seen in 0.22 and later, not in 0.8.
constexpr Version k_cache_ids{0, 10};

/// A BuildKit that names itself at all is 0.11 or later.
Version lowest(std::string_view named) {
  return domain::parse_version(named).value_or(Version{0, 11});
}

bool is_older(const EngineInfo& engine, Version version) {
  return engine.buildkit < version;
}

}  // namespace

EngineInfo docker_engine_info(std::string_view version, std::string_view api_version,
                              const BuildkitDescription& buildkit) {
  EngineInfo info;
  info.components = {{"Docker Engine", std::string(version)}};
  if (buildkit.version) {
    info.buildkit = lowest(*buildkit.version);
    info.components.push_back({"BuildKit", *buildkit.version});
  } else {
    const Version engine = domain::parse_version(version).value_or(Version());
    info.buildkit = std::ranges::find_if(k_silent_engines, [&](const auto& entry) {
                      return engine.major >= entry.first;
                    })->second;
    info.components.push_back(
        {"BuildKit", fmt::format("{}.{}", info.buildkit.major, info.buildkit.minor)});
  }
  // Before it knew source policies, nothing kept a build away from what the login to push with can
  // read.
  const bool has_containerd_store = buildkit.labels.contains(std::string(k_snapshotter));
  info.exports_to_registry = has_containerd_store && has_source_policies(info);
  info.platform = buildkit.platform;
  info.platforms = buildkit.platforms;
  info.name = fmt::format("Docker Engine {} (API {}{}{})", version, api_version,
                          buildkit.version ? ", BuildKit " + *buildkit.version : "",
                          has_containerd_store ? ", containerd image store" : "");
  return info;
}

EngineInfo buildkitd_info(const BuildkitDescription& buildkit) {
  const std::string version = buildkit.version.value_or(std::string());
  const auto network = buildkit.labels.find(std::string(k_network));
  return {.name = fmt::format("BuildKit {}", version),
          .buildkit = lowest(version),
          .exports_to_registry = true,
          .platforms = buildkit.platforms,
          .components = {{"BuildKit", version}},
          .shares_network = network == buildkit.labels.end() || network->second != "cni",
          .records_downloads = lowest(version) >= k_proxy_network};
}

bool runs_platform(const EngineInfo& engine, std::string_view platform) {
  return engine.platforms.empty() ||
         std::ranges::any_of(engine.platforms, [&](const std::string& own) {
           return domain::is_same_machine(own, platform);
         });
}

bool is_native(const EngineInfo& engine, std::string_view platform) {
  // Every amd64 runs the programs of 386.
  return engine.platforms.empty() || domain::is_same_machine(engine.platforms.front(), platform) ||
         (domain::is_same_machine(platform, "linux/386") &&
          domain::is_same_machine(engine.platforms.front(), "linux/amd64"));
}

Error emulation_refused(const EngineInfo& engine, const std::string& platform) {
  return {.kind = ErrorKind::invalid_input,
          .message = "the engine would emulate " + platform + " (PLATFORM_EMULATION)",
          .customer = fmt::format("Builders for {} need emulation, which is off here (the build "
                                  "machine is {})",
                                  printable_line(platform, 40), engine.platforms.front())};
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
