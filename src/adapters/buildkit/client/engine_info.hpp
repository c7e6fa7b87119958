#pragma once

#include "base/result.hpp"
#include "domain/advisories.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// What a daemon's BuildKit says about itself.
struct BuildkitDescription {
  std::optional<std::string> version;  ///< nullopt: older than 0.11, and does not say.
  /// Of its worker. `k_snapshotter` is among them where images are containerd's.
  std::map<std::string, std::string> labels;
  std::string platform;  ///< The first of its worker's: what it builds for unless told otherwise.
  std::vector<std::string> platforms = {};  ///< All: what its steps can run on.
};

inline constexpr std::string_view k_snapshotter = "org.mobyproject.buildkit.worker.snapshotter";
/// "host" or "cni" (also for the bridge); of standalone daemons alone.
inline constexpr std::string_view k_network = "org.mobyproject.buildkit.worker.network";

/// Which engine builds, and which BuildKit is in it.
struct EngineInfo {
  std::string name;  ///< "Docker Engine 20.10.24 (API 1.41)".
  /// The lowest it can be: what is not known is not relied on.
  domain::Version buildkit;
  /// It brings what it built into a registry itself, with OCI media types and any compression. A
  /// standalone daemon does, and a Docker Engine with the containerd image store; one with the old
  /// store makes an image of its own kind, which its push API takes away.
  bool exports_to_registry = false;
  std::string platform;  ///< What it builds for unless told otherwise; empty: not known.
  std::vector<std::string> platforms = {};    ///< What steps of it can run on; empty: not known.
  std::vector<domain::Component> components;  ///< What is known of what it is made of.
  /// RUN steps are in the network of the daemon itself: whatever it reaches, its loopback included.
  bool shares_network = false;
  /// Its steps can be given a proxy in place of a network, which records what they download.
  bool records_downloads = false;

  bool operator==(const EngineInfo&) const = default;
};

/// An Engine: its BuildKit is known from the Engine's version where it does not name its own.
EngineInfo docker_engine_info(std::string_view version, std::string_view api_version,
                              const BuildkitDescription& buildkit);

/// A standalone daemon. One that does not say which network its steps have may give them its own.
EngineInfo buildkitd_info(const BuildkitDescription& buildkit);

/// Whether steps for that platform can run, as far as it is known.
bool runs_platform(const EngineInfo& engine, std::string_view platform);

/// Whether its machine itself runs them, and not an emulation, as far as it is known: what it names
/// first is its own.
bool is_native(const EngineInfo& engine, std::string_view platform);

/// The error of buildpacks for a platform that is not native, where emulation is refused.
Error emulation_refused(const EngineInfo& engine, const std::string& platform);

/// What this engine lacks of what builds may ask for, for the operator; empty: nothing.
std::vector<std::string> missing_features(const EngineInfo& engine);

/// Whether the engine heeds an attribute of the frontend. Those it does not know it ignores without
/// a word.
bool knows_attribute(const EngineInfo& engine, std::string_view attribute);

/// Whether it can be told which images a build may not start from.
bool has_source_policies(const EngineInfo& engine);

/// Whether it can give an image another time than that of its build.
bool has_image_epoch(const EngineInfo& engine);

/// Whether its frontend says which base images are not for the machines that are built for.
bool names_foreign_bases(const EngineInfo& engine);

/// Whether it knows the result of a RUN without the names of the cache mounts that it used.
bool forgets_cache_ids(const EngineInfo& engine);

/// Whether its progress streams lose their way in more than 1 MiB of output at once.
bool status_goes_astray(const EngineInfo& engine);

}  // namespace builder::adapters::buildkit
