#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"
#include "base/sync.hpp"
#include "pipeline/metrics.hpp"

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace builder::app {

/// One thing the worker cannot do without.
struct HealthCheck {
  std::string name;
  std::function<Result<>(const std::stop_token&)> probe;
};

/// Asks every peer in turn, at once and then every five seconds, and remembers who is away. On a
/// thread of its own, which ends with the object.
class HealthMonitor {
 public:
  HealthMonitor(std::vector<HealthCheck> checks, pipeline::Metrics& metrics, Log log,
                std::function<void()> on_first_ready);

  /// Why the worker is not ready; empty when it is.
  [[nodiscard]] std::vector<std::string> reasons();
  /// From now on the worker is not ready for this reason, whatever the peers say.
  void set_draining();

 private:
  struct State {
    std::map<std::string, std::string> problems{{"start", "starting"}};
    bool draining = false;
  };

  void run(const std::stop_token& stop);

  const std::vector<HealthCheck> checks_;
  pipeline::Metrics& metrics_;
  const Log log_;
  const std::function<void()> on_first_ready_;
  Sync<State> state_;
  std::jthread thread_;
};

}  // namespace builder::app
