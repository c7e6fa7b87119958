#pragma once

#include "app/compose/build_parts.hpp"
#include "app/health/version_check.hpp"
#include "app/host/host_watch.hpp"

#include <atomic>
#include <list>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::app {

/// Looks at the engines as long as the service runs. What the operator should know of one is told
/// once for every engine that shows it, and what can be wrong with it again and again.
class EngineWatch {
 public:
  /// The arguments outlive it.
  EngineWatch(const Config& config, BuildParts& build, HostWatch& host, Log log);

  /// An error: nothing can be built now, or not for every platform. One thread's.
  Result<> look(const std::stop_token& stop);

  /// `denied`: it has holes that STRICT_VERSIONS does not bear. Any thread, as the next.
  [[nodiscard]] Result<> verdict() const;

  [[nodiscard]] std::vector<std::string> warnings() const;

  /// Those of them that name known holes.
  [[nodiscard]] std::vector<std::string> advisories() const;

 private:
  /// What is known of one engine.
  struct Seen {
    Seen(const BuildEngine& of, bool strict, adapters::docker::Engine* docker, const Log& log)
        : engine(of), versions(strict, docker, log) {}

    const BuildEngine& engine;
    VersionCheck versions;
    bool wishes_ignored = false;               ///< The looking thread's alone.
    std::atomic<bool> shares_network = false;  ///< Its steps: see `check_network`.
    std::atomic<bool> emulates = false;        ///< Its platform.
  };

  Result<> look_at(Seen& seen, const std::stop_token& stop);
  void check_wishes(Seen& seen, const adapters::buildkit::EngineInfo& engine);
  void check_network(Seen& seen, const adapters::buildkit::EngineInfo& engine);
  void check_machine(Seen& seen, const adapters::buildkit::EngineInfo& engine);
  void watch_disk(const std::stop_token& stop);

  const Config& config_;
  BuildParts& build_;
  HostWatch& host_;
  const Log log_;
  std::list<Seen> seen_;
  bool disk_watched_ = false;  ///< The looking thread's alone.
};

}  // namespace builder::app
