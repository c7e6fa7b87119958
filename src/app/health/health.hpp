#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"
#include "base/sync.hpp"
#include "ports/metrics.hpp"

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
  /// A state that people have asked for: the worker is not ready, and yet it has started well.
  bool is_asked_for = false;
};

/// Asks every peer in turn, at once and then every five seconds, and remembers who is away. On a
/// thread of its own, which ends with the object.
class HealthMonitor {
 public:
  HealthMonitor(std::vector<HealthCheck> checks, ports::Metrics& metrics, Log log,
                std::function<void()> on_first_ready);

  /// Why the worker is not ready; empty when it is.
  [[nodiscard]] std::vector<std::string> reasons();
  /// From now on the worker is not ready for this reason, whatever the peers say.
  void set_draining();

 private:
  using Problems = std::map<std::string, std::string>;  ///< By the check's name.

  struct State {
    Problems problems{{"start", "starting"}};
    bool draining = false;
  };

  void run(const std::stop_token& stop);
  /// Only what has changed since it was told; an empty problem is none.
  void tell(const std::string& name, const std::string& problem, Problems& told) const;

  const std::vector<HealthCheck> checks_;
  ports::Metrics& metrics_;
  const Log log_;
  const std::function<void()> on_first_ready_;
  Sync<State> state_;
  std::jthread thread_;
};

}  // namespace builder::app
