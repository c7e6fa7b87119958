#pragma once

#include "app/compose/build_parts.hpp"
#include "app/health/version_check.hpp"
#include "app/host/host_watch.hpp"

#include <atomic>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::app {

/// Looks at the engine as long as the service runs. What the operator should know of it is told
/// once for every engine that shows it, and what can be wrong with it again and again.
class EngineWatch {
 public:
  /// The arguments outlive it.
  EngineWatch(const Config& config, BuildParts& build, HostWatch& host, Log log)
      : config_(config),
        build_(build),
        host_(host),
        log_(std::move(log)),
        versions_(config.strict_versions, build.docker.get(), log_) {}

  /// An error: nothing can be built now. One thread's.
  Result<> look(const std::stop_token& stop);

  /// `denied`: it has holes that STRICT_VERSIONS does not bear. Any thread, as the next.
  [[nodiscard]] Result<> verdict() const { return versions_.verdict(); }

  [[nodiscard]] std::vector<std::string> warnings() const;

  /// Those of them that name known holes.
  [[nodiscard]] std::vector<std::string> advisories() const { return versions_.warnings(); }

 private:
  void check_wishes(const adapters::buildkit::EngineInfo& engine);
  void check_network(const adapters::buildkit::EngineInfo& engine);
  void watch_disk(const std::stop_token& stop);

  const Config& config_;
  BuildParts& build_;
  HostWatch& host_;
  const Log log_;
  VersionCheck versions_;
  bool disk_watched_ = false;  ///< The looking thread's alone, and the next.
  bool wishes_ignored_ = false;
  std::atomic<bool> shares_network_ = false;  ///< The engine's steps: see `check_network`.
};

}  // namespace builder::app
