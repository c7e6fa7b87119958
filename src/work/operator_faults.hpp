#pragma once

#include "base/result.hpp"
#include "base/stop.hpp"
#include "base/sync.hpp"
#include "domain/ids.hpp"

#include <chrono>
#include <map>
#include <set>
#include <string>

namespace builder::work {

/// What only the operator can mend (`Error::setting`) costs no deployment: the job that met it goes
/// back, and no more are taken for a while. The next one shows whether it is mended; each time it
/// is not, the while is longer. What deployments of other services do not meet holds up that job
/// alone, until several services in a row have met it. Thread-safe.
class OperatorFaults {
 public:
  explicit OperatorFaults(std::chrono::milliseconds first_pause) : first_pause_(first_pause) {}

  struct Met {
    /// The deployment meets one for the first time: its customer is told.
    bool is_first = false;
    /// Not zero: the job is kept so long before it goes back. Others are taken meanwhile.
    std::chrono::milliseconds hold{0};
  };

  /// A deployment met one.
  Met met(const domain::DeploymentId& deployment, const domain::ServiceId& service,
          const Error& error);
  /// A deployment was published: one that had met a fault shows that it is mended.
  void published(const domain::DeploymentId& deployment, const domain::ServiceId& service);

  /// Until then no job is taken.
  [[nodiscard]] SteadyTime until() const;
  /// Not empty: why no jobs are taken at the moment, with the setting to look at.
  [[nodiscard]] std::string reason() const;
  /// How many were met so far.
  [[nodiscard]] int count() const;

 private:
  struct Pause {
    SteadyTime until{};
    std::string reason;
    int repeats = 0;

    void lengthen(SteadyTime now, const Error& error, std::chrono::milliseconds first);
  };

  struct State {
    /// Gone back for one, and not published since; whether for one that all meet.
    std::map<domain::DeploymentId, bool> waiting;
    Pause all;      ///< For what every deployment meets.
    Pause several;  ///< For what several services met, and none did not.
    std::map<domain::ServiceId, Pause> of_service;
    std::set<domain::ServiceId> in_a_row;  ///< That met one of their own, with no success between.
    int count = 0;
  };

  [[nodiscard]] std::chrono::milliseconds hold(State& state, const domain::ServiceId& service,
                                               const Error& error, SteadyTime now) const;

  const std::chrono::milliseconds first_pause_;
  mutable Sync<State> state_;
};

}  // namespace builder::work
