#include "app/health/engine_watch.hpp"

#include <utility>

namespace builder::app {

namespace {

/// Where buildkitd keeps its data unless it is told otherwise.
constexpr const char* k_buildkit_folder = "/var/lib/buildkit";

}  // namespace

Result<> EngineWatch::look(const std::stop_token& stop) {
  BUILDER_TRY_ASSIGN(const auto engine, build_.ask_engine(stop));
  check_wishes(engine);
  check_network(engine);
  watch_disk(stop);
  versions_.look(engine, stop);
  return {};
}

std::vector<std::string> EngineWatch::warnings() const {
  std::vector<std::string> warnings = versions_.warnings();
  if (shares_network_) {
    warnings.emplace_back(
        "RUN steps share the engine's own network (BUILD_NETWORK_ISOLATION): its loopback, "
        "private ranges and metadata service");
  }
  return warnings;
}

/// Once for every engine that does otherwise.
void EngineWatch::check_wishes(const adapters::buildkit::EngineInfo& engine) {
  const bool compresses = config_.image_compression != adapters::buildkit::Compression();
  const bool rewrites = config_.image_epoch == adapters::buildkit::ImageEpoch::layers;
  const bool is_ignored = !engine.exports_to_registry && (compresses || rewrites);
  if (is_ignored && !std::exchange(wishes_ignored_, true)) {
    log_.warning(
        "{} has no effect on images built from a Dockerfile: {} packs them itself, with gzip and "
        "the times of the build; it takes the containerd image store, or BUILDKIT_HOST",
        compresses ? "IMAGE_COMPRESSION" : "IMAGE_EPOCH", engine.name);
  }
  wishes_ignored_ = is_ignored;
}

/// Once for every engine that lets a customer's steps into its own network.
void EngineWatch::check_network(const adapters::buildkit::EngineInfo& engine) {
  if (engine.shares_network && !shares_network_.exchange(true)) {
    log_.warning(
        "RUN steps of customers share the network of {} itself, its loopback, private ranges and "
        "metadata service included: start it with --oci-worker-net=bridge or cni, or where "
        "nothing else can be reached (BUILD_NETWORK_ISOLATION, docs/security.md)",
        engine.name);
  }
  shares_network_ = engine.shares_network;
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
