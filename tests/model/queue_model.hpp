#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// The scripts of adapters/redis/leased/scripts as a table of states and transitions: one function
/// here for each script there. The explorer proves properties of this table; the conformance test
/// compares it with the scripts on a real server. Small integers stand for ids, services and
/// leases.
///
/// What is decided is decided by domain/queue_rules, as in the service: the explorer's invariants
/// say nothing about how, so they find a fault in the rules as well as one here. The bookkeeping is
/// the model's own: that of the rules is for one process, and for states in the millions too large.
namespace builder::model {

constexpr std::size_t k_ids = 5;
constexpr std::size_t k_services = 2;
constexpr std::size_t k_owners = 3;  ///< The last one is nobody.
constexpr std::size_t k_leases = 8;
constexpr std::size_t k_queue = 16;

using Small = std::int8_t;
constexpr Small k_none = -1;
constexpr Small k_garbage = -2;  ///< A queue element that is no job.
constexpr Small k_nobody = k_owners - 1;

/// What is delivered to the platform in the end.
enum class Final : std::uint8_t { none, builded, failed, no_more_attempts, by_user, by_newer };
enum class Status : std::uint8_t { none, builded, failed, cancelled };

constexpr Status status_of(Final final) {
  switch (final) {
    case Final::none:
      return Status::none;
    case Final::builded:
      return Status::builded;
    case Final::failed:
    case Final::no_more_attempts:
      return Status::failed;
    case Final::by_user:
    case Final::by_newer:
      return Status::cancelled;
  }
  return Status::none;
}

constexpr std::uint8_t bit(Small at) {
  return static_cast<std::uint8_t>(1u << static_cast<unsigned>(at));
}

constexpr std::size_t at(Small index) {
  return static_cast<std::size_t>(index);
}

/// What the scripts refuse or see to. Each can be taken away, to show that it is needed.
struct Guards {
  bool take_drops_ended = true;
  bool take_drops_owned = true;
  bool take_obeys_cancels = true;
  bool take_limits_attempts = true;
  bool one_build_per_service = true;
  bool replaced_job_is_concluded = true;
  bool waiting_job_is_released = true;
  bool released_job_goes_first = true;
  bool look_keeps_places = true;
  bool finish_checks_owner = true;
  bool finish_obeys_cancels = true;
  bool finish_repeats_lost_answers = true;
  bool reap_gives_back = true;
  bool reap_removes_worker = true;
  bool requeue_checks_owner = true;
  bool adopt_spares_living = true;
  bool cancel_leaves_tombstone = true;
  bool record_checks_owner = true;
  bool order_keeps_services = true;
  bool beat_names_strays = true;
};

struct Rules {
  std::array<Small, k_ids> service{};  ///< Of each id; k_none: the job names none.
  /// Whose each id is.
  std::array<Small, k_ids> organization{k_nobody, k_nobody, k_nobody, k_nobody, k_nobody};
  Small width = 1;  ///< The next job is chosen from so many.
  Small most_passed = 2;
  Small most_attempts = 3;
  Guards guards;
};

/// Everything in Redis. Only bytes, so that states can be hashed and compared as memory.
struct QueueState {
  std::array<Small, k_queue> queue{};
  std::array<Small, k_ids> owner{};
  std::array<Small, k_ids> attempts{};
  std::array<Status, k_ids> ended{};
  std::array<Final, k_ids> out{};
  std::array<Small, k_ids> sender{};
  std::array<Small, k_ids> stage{};  ///< How far a deployment has come; 0: nothing recorded.
  std::array<Small, k_services> building{};
  std::array<Small, k_services> waiting{};
  /// When each owner had a turn: 1 is the longest ago, 0 never.
  std::array<Small, k_owners> turn{};
  Small passed = 0;            ///< How often the first of the queue was left in a row.
  std::uint8_t counted = 0;    ///< Ids whose builds are in the books of the order.
  std::uint8_t newcomers = 0;  ///< Those of them that count for nobody as well.
  Small queued = 0;
  std::uint8_t newer = 0;    ///< Ids that are superseded.
  std::uint8_t tomb = 0;     ///< Ids that are cancelled.
  std::uint8_t workers = 0;  ///< Leases.
  std::uint8_t expired = 0;  ///< Those whose time is over, still in `workers`.
  std::uint8_t dead = 0;
  std::uint8_t about = 0;   ///< Leases of which people are told something.
  std::uint8_t paused = 0;  ///< Leases of workers that people have asked to take no jobs.

  bool operator==(const QueueState&) const = default;
};

QueueState empty_queue();

enum class Word : std::uint8_t {
  ok,
  lost,
  job,
  again,
  paused,
  empty,
  out,
  none,
  late,
  reporting,
  owned,
  removed,
  noted
};
enum class Note : std::uint8_t { none, malformed, duplicate, ended, waits };

struct Answer {
  Word word = Word::ok;
  std::uint8_t by_user = 0;   ///< Marks: ids the worker must stop.
  std::uint8_t by_newer = 0;  ///< Likewise.
  std::uint8_t gone = 0;      ///< Likewise: not the worker's any more.
  std::uint8_t strays = 0;    ///< The worker's without its knowing.
  Small id = k_none;
  Small left = k_none;  ///< The element that left the queue by a take.
  Small attempt = 0;
  Small stage = 0;  ///< Of a job.
  Note note = Note::none;
  Final final = Final::none;
  Status status = Status::none;
  Small retired = 0;
  Small jobs = 0;
  bool paused = false;  ///< Of a beat.
};

bool push(QueueState& state,
          Small element);  ///< The platform; false when the model's queue is full.
/// `held`: ids the worker believes to be its own. `tells`: it has something to say about itself.
Answer beat(QueueState& state, const Rules& rules, Small lease_id, bool join, std::uint8_t held = 0,
            bool tells = false);
Answer take(QueueState& state, const Rules& rules, Small lease_id);
Answer look(QueueState& state, const Rules& rules, Small lease_id);
Answer finish(QueueState& state, const Rules& rules, Small lease_id, Small id, Final final);
Answer record(QueueState& state, const Rules& rules, Small lease_id, Small id, Small stage);
Answer requeue(QueueState& state, const Rules& rules, Small lease_id, Small id);
/// `preferred`: which entry is found first is up to Redis; the test tells which one it was.
Answer adopt(QueueState& state, const Rules& rules, Small lease_id, Small preferred);
Answer settle(QueueState& state, Small lease_id, Small id, bool later, bool bury);
Answer cancel(QueueState& state, const Rules& rules, Small id);
/// k_none: every expired worker.
Answer reap(QueueState& state, const Rules& rules, Small lease_id);

}  // namespace builder::model
