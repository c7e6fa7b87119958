#pragma once

#include "domain/ids.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What deployments that wait in the queue are told: their place, and about how long it takes.
namespace builder::domain {

/// What decides how long one waits.
struct QueuePace {
  std::size_t slots = 0;                           ///< Of the workers that take jobs.
  std::vector<std::chrono::milliseconds> running;  ///< Ages of the builds under way.
  std::vector<std::chrono::milliseconds> took;     ///< How long the last builds took.
};

/// Until the first, the second … of `count` that wait is taken, as if each build took the mean of
/// the last ones. Empty: it cannot be told, because too little was measured, or because slots are
/// free and nobody takes.
std::vector<std::chrono::milliseconds> expected_waits(const QueuePace& pace, std::size_t count);

struct WaitingNotice {
  std::size_t place = 0;                          ///< 1: the next one to be taken.
  std::optional<std::chrono::milliseconds> wait;  ///< Absent: not known.
};

/// "Waiting: 3rd in the queue, about 2 minutes".
std::string in_words(const WaitingNotice& notice);

/// Whether a reader of `said` wants to know `now`: far behind, not every step forward is news, and
/// an estimate is only while it was much too short.
bool is_news(const WaitingNotice& said, const WaitingNotice& now);

/// What waits, in the order in which it is likely to be taken.
struct WaitingLine {
  std::vector<DeploymentId> waiting;
  QueuePace pace;
};

/// Who was told what. Of the size of the last line that was seen. One thread.
class WaitingNotices {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::milliseconds k_patience{5'000};
  /// Between two lines of one deployment.
  static constexpr std::chrono::seconds k_interval{15};

  /// What is taken within `patience` gets no line at all.
  explicit WaitingNotices(std::chrono::milliseconds patience = k_patience) : patience_(patience) {}

  /// Who has to be told something now; the first in the queue is the first. What has left the line
  /// is forgotten.
  std::vector<std::pair<DeploymentId, WaitingNotice>> due(const WaitingLine& line, Time now);
  void said(const DeploymentId& deployment, const WaitingNotice& notice, Time now);
  /// It is told nothing any more while it waits.
  void leave_alone(const DeploymentId& deployment);

  /// Somebody else speaks now.
  void forget() { known_.clear(); }

 private:
  struct Known {
    Time since;
    Time told{};
    std::optional<WaitingNotice> notice;  ///< The last one; none: nothing was said yet.
    bool left_alone = false;
  };

  std::chrono::milliseconds patience_;
  std::map<DeploymentId, Known> known_;
};

}  // namespace builder::domain
