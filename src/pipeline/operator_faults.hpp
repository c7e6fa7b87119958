#pragma once

#include "base/result.hpp"
#include "base/stop.hpp"
#include "base/sync.hpp"
#include "domain/ids.hpp"

#include <set>
#include <string>

namespace builder::pipeline {

/// What only the operator can mend (`Error::setting`) costs no deployment: the job that met it goes
/// back, and no more are taken for a while. The next one shows whether it is mended; each time it
/// is not, the while is longer. Thread-safe.
class OperatorFaults {
 public:
  /// A deployment met one, and its job goes back. True the first time: its customer is told.
  bool met(const domain::DeploymentId& deployment, const Error& error);
  /// A deployment was published: one that had met a fault shows that it is mended.
  void published(const domain::DeploymentId& deployment);

  /// Until then no job is taken.
  [[nodiscard]] SteadyTime until() const;
  /// Not empty: why no jobs are taken at the moment, with the setting to look at.
  [[nodiscard]] std::string reason() const;
  /// How many were met so far.
  [[nodiscard]] int count() const;

 private:
  struct State {
    std::set<domain::DeploymentId> waiting;  ///< Gone back for one, and not published since.
    SteadyTime until{};
    std::string reason;
    int repeats = 0;
    int count = 0;
  };

  mutable Sync<State> state_;
};

}  // namespace builder::pipeline
