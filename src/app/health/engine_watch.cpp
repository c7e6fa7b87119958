#include "app/health/engine_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::app {

namespace {

/// Where buildkitd keeps its data unless it is told otherwise.
constexpr const char* k_buildkit_folder = "/var/lib/buildkit";

}  // namespace

EngineWatch::EngineWatch(const Config& config, BuildParts& build, HostWatch& host, Log log)
    : config_(config), build_(build), host_(host), log_(std::move(log)) {
  for (const BuildEngine& engine : build.engines) {
    seen_.emplace_back(engine, config.strict_versions, build.docker.get(), log_);
  }
}

Result<> EngineWatch::look(const std::stop_token& stop) {
  Result<> all;
  for (Seen& seen : seen_) {
    // All of them: what is to be told of one does not wait for another.
    if (auto looked = look_at(seen, stop); !looked && all) {
      all = std::move(looked);
    }
  }
  BUILDER_TRY(std::move(all));
  watch_disk(stop);
  return {};
}

Result<> EngineWatch::look_at(Seen& seen, const std::stop_token& stop) {
  BUILDER_TRY_ASSIGN(const auto engine, build_.ask(seen.engine, stop));
  if (config_.platforms.contains(',') && !engine.exports_to_registry) {
    return std::unexpected(
        Error{.kind = ErrorKind::invalid_input,
              .message = engine.name +
                         " keeps images for one platform each: name one, give it the containerd "
                         "image store, or use a BuildKit of its own (BUILDKIT_HOST)"}
            .for_operator("PLATFORMS"));
  }
  check_wishes(seen, engine);
  check_network(seen, engine);
  check_machine(seen, engine);
  seen.versions.look(engine, stop);
  return {};
}

Result<> EngineWatch::verdict() const {
  for (const Seen& seen : seen_) {
    BUILDER_TRY(seen.versions.verdict());
  }
  return {};
}

std::vector<std::string> EngineWatch::advisories() const {
  std::vector<std::string> advisories;
  for (const Seen& seen : seen_) {
    for (std::string& line : seen.versions.warnings()) {
      if (std::ranges::find(advisories, line) == advisories.end()) {
        advisories.push_back(std::move(line));
      }
    }
  }
  return advisories;
}

std::vector<std::string> EngineWatch::warnings() const {
  std::vector<std::string> warnings = advisories();
  if (std::ranges::any_of(seen_, [](const Seen& seen) { return seen.shares_network.load(); })) {
    warnings.emplace_back(
        "RUN steps share the engine's own network (BUILD_NETWORK_ISOLATION): its loopback, "
        "private ranges and metadata service");
  }
  for (const Seen& seen : seen_) {
    if (seen.emulates) {
      warnings.push_back(fmt::format("the BuildKit at {} emulates {} (BUILDKIT_HOST)",
                                     seen.engine.address.str(), seen.engine.platform));
    }
  }
  return warnings;
}

/// Once for every engine that does otherwise.
void EngineWatch::check_wishes(Seen& seen, const adapters::buildkit::EngineInfo& engine) {
  const bool compresses = config_.image_compression != adapters::buildkit::Compression();
  const bool rewrites = config_.image_epoch == adapters::buildkit::ImageEpoch::layers;
  const bool is_ignored = !engine.exports_to_registry && (compresses || rewrites);
  if (is_ignored && !std::exchange(seen.wishes_ignored, true)) {
    log_.warning(
        "{} has no effect on images built from a Dockerfile: {} packs them itself, with gzip and "
        "the times of the build; it takes the containerd image store, or BUILDKIT_HOST",
        compresses ? "IMAGE_COMPRESSION" : "IMAGE_EPOCH", engine.name);
  }
  seen.wishes_ignored = is_ignored;
}

/// Once for every engine that lets a customer's steps into its own network.
void EngineWatch::check_network(Seen& seen, const adapters::buildkit::EngineInfo& engine) {
  if (engine.shares_network && !seen.shares_network.exchange(true)) {
    log_.warning(
        "RUN steps of customers share the network of {} itself, its loopback, private ranges and "
        "metadata service included: start it with --oci-worker-net=bridge or cni, or where "
        "nothing else can be reached (BUILD_NETWORK_ISOLATION, docs/security.md)",
        engine.name);
  }
  seen.shares_network = engine.shares_network;
}

/// Once for every engine that is to build for a platform and has another machine.
void EngineWatch::check_machine(Seen& seen, const adapters::buildkit::EngineInfo& engine) {
  const bool emulates =
      !seen.engine.platform.empty() && !adapters::buildkit::is_native(engine, seen.engine.platform);
  if (emulates && !seen.emulates.exchange(true)) {
    log_.warning(
        "the BuildKit at {} emulates {}, its machine is {}: builds run many times slower "
        "(BUILDKIT_HOST)",
        seen.engine.address.str(), seen.engine.platform, engine.platforms.front());
  }
  seen.emulates = emulates;
}

/// Once, when the engine answers for the first time.
void EngineWatch::watch_disk(const std::stop_token& stop) {
  if (std::exchange(disk_watched_, true)) {
    return;
  }
  std::string folder = config_.engine_dir;
  if (folder.empty() && !has_local_engine(config_)) {
    log_.info("the engine's disk is not watched: the engine is on another machine");
    return;
  }
  if (folder.empty() && build_.docker == nullptr) {
    folder = k_buildkit_folder;  // It cannot be asked.
  } else if (folder.empty()) {
    auto told = build_.docker->data_folder(stop);
    disk_watched_ = told.has_value();
    folder = told.value_or(std::string());
  }
  if (!folder.empty()) {
    host_.watch_engine(folder);
  }
}

}  // namespace builder::app
