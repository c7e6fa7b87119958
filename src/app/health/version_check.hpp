#pragma once

#include "adapters/buildkit/client/engine_info.hpp"
#include "adapters/docker/engine.hpp"
#include "base/log.hpp"
#include "base/sync.hpp"

#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::app {

/// Of the git on this machine, as it names itself; empty: it cannot be run.
std::string git_version(const std::stop_token& stop);

/// Compares the programs that customers' input passes through with the table of known holes: git on
/// this machine, the engine, its BuildKit and its runc. What is found is said once in the log and
/// for as long as it is so in `/readyz`.
class VersionCheck {
 public:
  /// `strict`: what is found is a reason not to take jobs. `docker` is null for a standalone
  /// BuildKit, which does not tell the version of its runc.
  VersionCheck(bool strict, adapters::docker::Engine* docker, Log log)
      : strict_(strict), docker_(docker), log_(std::move(log)) {}

  /// Costs nothing while the engine stays the same. One thread's.
  void look(const adapters::buildkit::EngineInfo& engine, const std::stop_token& stop);
  /// `denied` for a strict worker with something found. Any thread, as the next.
  [[nodiscard]] Result<> verdict() const;

  [[nodiscard]] std::vector<std::string> warnings() const { return *found_.lock(); }

 private:
  const bool strict_;
  adapters::docker::Engine* const docker_;
  const Log log_;
  std::vector<domain::Component> looked_at_;
  std::set<std::string> said_;
  mutable Sync<std::vector<std::string>> found_;
};

}  // namespace builder::app
