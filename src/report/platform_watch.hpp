#pragma once

#include "base/stop.hpp"
#include "base/sync.hpp"
#include "ports/deployment_reporter.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

namespace builder::report {

/// What all answers of the platform together say, where one alone does not.
///
/// The platform answers "Deployment not found" to every post while its database is away, and it
/// never deletes a deployment. So that answer is an outage (`unavailable`) until it has lasted for
/// `patience` and posts for others have succeeded between several of its answers; only then it is
/// passed on as `not_found`.
///
/// Thread-safe.
class PlatformWatch final : public ports::DeploymentReporter {
 public:
  /// While deployments are unknown, as many others are taken to see whether they are, too.
  static constexpr std::size_t k_most_unknown = 8;

  /// `reporter` outlives it.
  PlatformWatch(ports::DeploymentReporter& reporter, std::chrono::seconds patience)
      : reporter_(reporter), patience_(patience) {}

  Result<ports::StatusAnswer> post_status(const domain::DeploymentId& deployment,
                                          const ports::StatusUpdate& update,
                                          const ports::PostTerms& terms) override;
  Result<> post_log(const domain::DeploymentId& deployment, domain::LogType type,
                    const std::string& text, const ports::PostTerms& terms) override;

  /// What a look at the platform beside the posts has found. Returns why it is not ready, as far as
  /// the look and the posts tell.
  Result<> probed(Result<> probe);

  /// False: what is posted now would not reach the platform.
  [[nodiscard]] bool may_take() const;
  /// Deployments of which the platform says at present that it does not know them. They wait, and
  /// keep no other from being built.
  [[nodiscard]] std::size_t unknown() const;

 private:
  struct Unknown {
    SteadyTime since;
    SteadyTime last;
    int contradictions = 0;  ///< Answers before which a post for another succeeded.
    bool is_proven = false;
  };

  struct State {
    bool is_away = true;  ///< Until it has been asked.
    std::map<domain::DeploymentId, Unknown> unknown;
    SteadyTime last_success{};  ///< Since the last one became unknown; the epoch: none.
  };

  /// The answer as it has to be taken.
  template <class T>
  Result<T> judge(const domain::DeploymentId& deployment, Result<T> answer);
  [[nodiscard]] Error judge_unknown(State& state, const domain::DeploymentId& deployment,
                                    Error error) const;
  static std::size_t count_unknown(const State& state);

  ports::DeploymentReporter& reporter_;
  const std::chrono::seconds patience_;
  mutable Sync<State> state_;
};

}  // namespace builder::report
