#pragma once

#include "domain/attempts.hpp"
#include "domain/checkpoint.hpp"
#include "domain/ending.hpp"
#include "domain/ids.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// The rules of the queue, for one process. adapters/redis/leased/scripts/*.lua are the same rules
/// for any number of workers. Tests compare the two.
namespace builder::domain {

/// What became of a final status.
enum class Delivery {
  done,     ///< The platform took it.
  later,    ///< Not now; somebody shall try again.
  unknown,  ///< The platform does not know the deployment; remembered for the operator.
};

enum class CancelAnswer {
  owned,      ///< A worker builds it and will stop.
  removed,    ///< It was queued; its end waits for delivery.
  reporting,  ///< Its end was not delivered yet and is CANCELLED now.
  late,       ///< It had ended before.
  noted,      ///< Not known; remembered for the case that it comes.
};

// The decisions. Each is about one deployment and what is known of it.

struct Known {
  bool ended = false;         ///< It has a final status.
  bool undelivered = false;   ///< The platform has not got that status yet.
  bool owned = false;         ///< A worker builds it.
  bool cancelled = false;     ///< By the user.
  bool superseded = false;    ///< By a newer deployment of its service.
  bool service_busy = false;  ///< A deployment of its service is built.
  int attempts = 0;           ///< Begun so far.
};

/// What becomes of an element of the queue when its turn comes.
enum class Place {
  dropped,  ///< Its deployment has ended or is built: it was queued twice.
  ended,    ///< Without a build.
  waiting,  ///< Beside the queue, for the end of the build of its service, which it supersedes.
  built,    ///< By the worker that took it.
};

struct Placement {
  Place place = Place::dropped;
  Verdict verdict = Verdict::as_reported;  ///< Of `ended`.

  bool operator==(const Placement&) const = default;
};

/// How a deployment ends that is not built further; `as_reported`: as its build did. A cancel is
/// stronger than a newer deployment, and both are stronger than the build.
constexpr Verdict verdict_on(const Known& known) {
  if (known.cancelled) {
    return Verdict::cancelled_by_user;
  }
  return known.superseded ? Verdict::superseded : Verdict::as_reported;
}

constexpr Placement place_of(const Known& known, int most_attempts = k_most_attempts) {
  if (known.ended || known.owned) {
    return {.place = Place::dropped};
  }
  if (const Verdict verdict = verdict_on(known); verdict != Verdict::as_reported) {
    return {.place = Place::ended, .verdict = verdict};
  }
  if (known.service_busy) {
    return {.place = Place::waiting};
  }
  if (known.attempts >= most_attempts) {
    return {.place = Place::ended, .verdict = Verdict::attempts_used};
  }
  return {.place = Place::built};
}

/// `queued`: it is in the queue, or waits beside it.
constexpr CancelAnswer answer_to_cancel(const Known& known, bool queued) {
  if (known.undelivered) {
    return CancelAnswer::reporting;
  }
  if (known.ended) {
    return CancelAnswer::late;
  }
  if (known.owned) {
    return CancelAnswer::owned;
  }
  return queued ? CancelAnswer::removed : CancelAnswer::noted;
}

// The order: whose turn it is. `take.lua` decides the same.

enum class QueueOrder {
  fair,  ///< Owners take turns.
  fifo,  ///< Always the first of the queue.
};

/// The next job is chosen from so many at the head of the queue.
constexpr std::size_t k_order_width = 256;
/// The first one is left at most so often in a row, whoever comes behind it. With 1 every second
/// take moves all jobs forward: a job with n in front of it is taken with the 2n + 2nd take at the
/// latest, and never more than `k_order_width` takes later than in the list's order.
constexpr int k_most_passed = 1;

/// What a queued job says of itself. Empty: nothing.
struct InLine {
  std::string owner;
  std::string service;
  /// False: it is no job, or it does not say that as the platform's jobs do. Neither it nor what
  /// stands behind it has a turn before it is the first.
  bool readable = true;
  /// Another deployment of its service is built: it has no turn before that has ended. Else it
  /// would be set aside, and come back in front of those that it has overtaken.
  bool busy = false;
};

/// An owner's builds.
struct Turn {
  int running = 0;
  std::int64_t last = 0;  ///< When it was the owner's turn: a higher number is later. 0: not yet.

  auto operator<=>(const Turn&) const = default;
};

/// By owner. Those who name nobody, and newcomers, who had no turn yet, are one owner, whose name
/// is empty: who makes up owners gets no more than that one's share.
using Turns = std::map<std::string, Turn>;

/// A build that began in turn, or beside it.
struct CountedBuild {
  std::string owner;
  bool newcomer = false;  ///< It also counts for those who name nobody.
};

/// Whether the owner is none of the newcomers.
bool had_turn(const Turns& turns, const std::string& owner);
/// The turn of an owner whose job is taken; how its build counts.
CountedBuild take_turn(Turns& turns, const std::string& owner);
/// A build has begun (1), or ended (-1).
void count_build(Turns& turns, const CountedBuild& build, int change);

/// Whose turn it is, of the first `width` of a line that is not empty: the oldest job of the owner
/// with the fewest builds, of several of the one that was served the longest time ago. Of one
/// owner, and of one service, nothing overtakes. `passed`: how often the first was left so far.
std::size_t place_in_turn(const std::vector<InLine>& line, const Turns& turns, int passed,
                          std::size_t width = k_order_width, int most_passed = k_most_passed);

/// The places of the line in the order in which they are likely to be taken: as if each build took
/// the same time and nobody came. `running`: what is built, the longest first.
std::vector<std::size_t> expected_order(std::vector<InLine> line, Turns turns, int passed,
                                        std::deque<CountedBuild> running);

// The bookkeeping.

struct QueuedJob {
  DeploymentId id;
  std::optional<ServiceId> service;
  std::string element;  ///< As the platform wrote it.
};

/// nullopt: the element is no job.
std::optional<QueuedJob> read_queued_job(std::string element);

/// The newest ids of a kind; the oldest are forgotten.
class RecentIds {
 public:
  void insert(const DeploymentId& id);

  [[nodiscard]] bool contains(const DeploymentId& id) const { return ids_.contains(id); }

 private:
  std::set<DeploymentId> ids_;
  std::deque<DeploymentId> order_;
};

/// What one process knows of the jobs beside the queue: which it builds, which wait, how others
/// ended. The caller keeps the queue itself. Attempts are counted for workers that are lost with a
/// job; this process is the only one, so each of its attempts is the first. Not thread-safe.
class JobLedger {
 public:
  /// What a call did to other deployments than its own.
  struct Changes {
    std::vector<DeploymentId> superseded;  ///< We build them and have to stop.
    std::vector<DeploymentId> ended;       ///< They have an end, which nobody delivers yet.
  };

  struct Finished {
    Ending ending;
    std::optional<QueuedJob> next;  ///< It waited; the caller puts it at the head of the queue.
  };

  struct Outgoing {
    Ending ending;
    bool ours = false;  ///< This process delivers it.
  };

  [[nodiscard]] Placement placement(const QueuedJob& job) const;

  /// A job has left the queue. Returns how far it had come. nullopt: we do not build it, and it is
  /// where it has to be.
  std::optional<Checkpoint> take(QueuedJob job, Changes& changes);
  /// Looks at jobs in the queue's order, without taking them. A newer job supersedes what we build
  /// of its service, and what waits for that. Returns the jobs that a still newer one supersedes:
  /// the caller takes them out of the queue and calls `conclude`.
  std::vector<QueuedJob> look(const std::vector<QueuedJob>& queued, Changes& changes);

  /// False, here and from `settle`: the deployment is not ours.
  bool record(const DeploymentId& id, const Checkpoint& checkpoint);
  /// Returns the job and the one that waited for it. The caller puts them at the head of the queue,
  /// in this order. Empty: the job is not ours.
  std::vector<QueuedJob> requeue(const DeploymentId& id);
  /// Decides how a build of ours ended; we deliver that end. A repeated call gets the same answer.
  /// nullopt: it is not ours.
  std::optional<Finished> finish(const DeploymentId& id, const StatusUpdate& update);
  bool settle(const DeploymentId& id, Delivery delivery);
  /// Takes over an end that nobody delivers.
  std::optional<std::pair<DeploymentId, Ending>> adopt();
  /// `noted`: if the job is queued, the caller takes it out of the queue and calls `conclude`.
  CancelAnswer cancel(const DeploymentId& id);
  /// Gives a deployment an end, which nobody delivers yet.
  void conclude(const DeploymentId& id, Ending ending);

  /// Everything but `service_busy` and `attempts`.
  [[nodiscard]] Known known(const DeploymentId& id) const;

  [[nodiscard]] bool owns(const DeploymentId& id) const { return owned_.contains(id); }

  [[nodiscard]] Checkpoint checkpoint(const DeploymentId& id) const;

  [[nodiscard]] const std::map<DeploymentId, QueuedJob>& owned() const { return owned_; }

  [[nodiscard]] const std::map<ServiceId, QueuedJob>& waiting() const { return waiting_; }

  [[nodiscard]] const std::map<DeploymentId, Outgoing>& outgoing() const { return outgoing_; }

 private:
  /// The deployment of the service that is built.
  [[nodiscard]] std::optional<DeploymentId> builder_of(const ServiceId& service) const;
  void supersede_by(const QueuedJob& job, Changes& changes);
  void end(const DeploymentId& id, Ending ending, bool ours);
  std::optional<QueuedJob> disown(const DeploymentId& id);

  std::map<DeploymentId, QueuedJob> owned_;
  std::map<ServiceId, QueuedJob> waiting_;
  std::map<DeploymentId, Outgoing> outgoing_;
  std::map<DeploymentId, Checkpoint> checkpoints_;
  std::set<DeploymentId> superseded_;
  RecentIds ended_;
  RecentIds cancelled_;
};

}  // namespace builder::domain
