#include "model/queue_model.hpp"

#include "domain/queue_rules.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace builder::model {

namespace {

constexpr Small k_anybody = -3;

bool has(std::uint8_t set, Small member) {
  return (set & bit(member)) != 0;
}

void add(std::uint8_t& set, Small member) {
  set = static_cast<std::uint8_t>(set | bit(member));
}

void remove(std::uint8_t& set, Small member) {
  set = static_cast<std::uint8_t>(set & ~bit(member));
}

void push_front(QueueState& state, Small element) {
  for (Small i = state.queued; i > 0; --i) {
    state.queue[at(i)] = state.queue[at(i) - 1];
  }
  state.queue[0] = element;
  ++state.queued;
}

void remove_at(QueueState& state, Small position) {
  for (Small i = position; i + 1 < state.queued; ++i) {
    state.queue[at(i)] = state.queue[at(i) + 1];
  }
  --state.queued;
  state.queue[at(state.queued)] = k_none;
}

Small position_of(const QueueState& state, Small element) {
  return static_cast<Small>(std::ranges::find(state.queue, element) - state.queue.begin());
}

void conclude(QueueState& state, Small id, Small sender, Final final) {
  state.ended[at(id)] = status_of(final);
  state.out[at(id)] = final;
  state.sender[at(id)] = sender;
  state.attempts[at(id)] = 0;
  state.stage[at(id)] = 0;
  remove(state.newer, id);
}

void disown(QueueState& state, const Rules& rules, Small id) {
  state.owner[at(id)] = k_none;
  const Small service = rules.service[at(id)];
  if (service != k_none && state.building[at(service)] == id) {
    state.building[at(service)] = k_none;
    const Small waiting = state.waiting[at(service)];
    if (waiting != k_none && rules.guards.waiting_job_is_released) {
      if (rules.guards.released_job_goes_first) {
        push_front(state, waiting);
      } else {
        state.queue[at(state.queued)] = waiting;
        ++state.queued;
      }
      state.waiting[at(service)] = k_none;
    }
  }
}

/// True when the job that waited before has ended.
bool let_wait(QueueState& state, const Rules& rules, Small id, Small running) {
  const Small service = rules.service[at(id)];
  const Small before = state.waiting[at(service)];
  if (before == id) {
    return false;
  }
  if (before != k_none && rules.guards.replaced_job_is_concluded) {
    conclude(state, before, k_none, Final::by_newer);
  }
  state.waiting[at(service)] = id;
  add(state.newer, running);
  return before != k_none;
}

/// For the decisions, which the model shares with the service. `builder`: whose builds make the
/// service busy.
domain::Known known(const QueueState& state, const Rules& rules, Small id,
                    Small builder = k_anybody) {
  const Small service = rules.service[at(id)];
  const Small running = service == k_none ? k_none : state.building[at(service)];
  return {.ended = state.ended[at(id)] != Status::none,
          .undelivered = state.out[at(id)] != Final::none,
          .owned = state.owner[at(id)] != k_none,
          .cancelled = has(state.tomb, id),
          .superseded = has(state.newer, id),
          .service_busy =
              running != k_none && (builder == k_anybody || state.owner[at(running)] == builder),
          .attempts = state.attempts[at(id)]};
}

Final final_of(domain::Verdict verdict, Final reported = Final::none) {
  switch (verdict) {
    case domain::Verdict::as_reported:
      return reported;
    case domain::Verdict::cancelled_by_user:
      return Final::by_user;
    case domain::Verdict::superseded:
      return Final::by_newer;
    case domain::Verdict::attempts_used:
      return Final::no_more_attempts;
  }
  return reported;
}

/// Builds it, or delivers its status.
bool holds(const QueueState& state, Small lease_id, Small id) {
  return state.owner[at(id)] == lease_id ||
         (state.out[at(id)] != Final::none && state.sender[at(id)] == lease_id);
}

void mark(const QueueState& state, Small lease_id, Answer& answer) {
  for (Small id = 0; at(id) < k_ids; ++id) {
    if (!holds(state, lease_id, id)) {
      continue;
    }
    if (has(state.tomb, id)) {
      add(answer.by_user, id);
    } else if (has(state.newer, id)) {
      add(answer.by_newer, id);
    }
  }
}

domain::Placement placed_at(const QueueState& state, const Rules& rules, Small id) {
  if (id == k_garbage) {
    return {.place = domain::Place::dropped};
  }
  const Guards& guards = rules.guards;
  domain::Known seen = known(state, rules, id);
  seen.ended = seen.ended && guards.take_drops_ended;
  seen.owned = seen.owned && guards.take_drops_owned;
  seen.cancelled = seen.cancelled && guards.take_obeys_cancels;
  seen.service_busy = seen.service_busy && guards.one_build_per_service;
  seen.attempts = guards.take_limits_attempts ? seen.attempts : 0;
  return domain::place_of(seen, rules.most_attempts);
}

std::string owner_text(Small owner) {
  return owner == k_nobody ? "" : std::to_string(owner);
}

bool is_newcomer(const QueueState& state, Small owner) {
  return owner != k_nobody && state.turn[at(owner)] == 0;
}

void count_build(QueueState& state, const Rules& rules, Small id) {
  add(state.counted, id);
  remove(state.newcomers, id);
  if (is_newcomer(state, rules.organization[at(id)])) {
    add(state.newcomers, id);
  }
}

/// What workers took that keep no books is added to them, and what has ended leaves them.
void keep_books(QueueState& state, const Rules& rules) {
  for (Small id = 0; at(id) < k_ids; ++id) {
    if (state.owner[at(id)] == k_none) {
      remove(state.counted, id);
      remove(state.newcomers, id);
    } else if (!has(state.counted, id)) {
      count_build(state, rules, id);
    }
  }
}

/// The place of the element whose turn it is.
Small in_turn(const QueueState& state, const Rules& rules) {
  domain::Turns turns;
  for (Small owner = 0; at(owner) < k_owners; ++owner) {
    turns[owner_text(owner)].last = state.turn[at(owner)];
  }
  for (Small id = 0; at(id) < k_ids; ++id) {
    if (has(state.counted, id)) {
      domain::count_build(
          turns,
          {.owner = owner_text(rules.organization[at(id)]), .newcomer = has(state.newcomers, id)},
          1);
    }
  }
  std::vector<domain::InLine> line;
  for (Small place = 0; place < state.queued; ++place) {
    const Small id = state.queue[at(place)];
    if (id == k_garbage) {
      line.push_back({.owner = {}, .service = {}, .readable = false});
      continue;
    }
    const Small service = rules.guards.order_keeps_services ? rules.service[at(id)] : k_none;
    line.push_back({.owner = owner_text(rules.organization[at(id)]),
                    .service = service == k_none ? "" : std::to_string(service),
                    .busy = service != k_none && state.building[at(service)] != k_none});
  }
  return static_cast<Small>(
      domain::place_in_turn(line, turns, state.passed, at(rules.width), rules.most_passed));
}

/// The owner's turn is the latest one now. Only their order counts.
void make_latest(QueueState& state, Small owner) {
  const Small before = state.turn[at(owner)];
  state.turn[at(owner)] = 0;
  for (Small& turn : state.turn) {
    turn = static_cast<Small>(turn - (before != 0 && turn > before ? 1 : 0));
  }
  state.turn[at(owner)] = static_cast<Small>(std::ranges::max(state.turn) + 1);
}

/// A newcomer's turn is that of all of them.
void count_turn(QueueState& state, Small owner) {
  if (is_newcomer(state, owner)) {
    make_latest(state, k_nobody);
  }
  make_latest(state, owner);
}

Small retire(QueueState& state, const Rules& rules, Small lease_id) {
  Small count = 0;
  for (Small id = 0; at(id) < k_ids; ++id) {
    if (state.owner[at(id)] == lease_id && rules.guards.reap_gives_back) {
      disown(state, rules, id);
      push_front(state, id);
      ++count;
    }
  }
  if (rules.guards.reap_removes_worker) {
    remove(state.workers, lease_id);
  }
  remove(state.expired, lease_id);
  remove(state.about, lease_id);
  return count;
}

}  // namespace

QueueState empty_queue() {
  QueueState state;
  state.queue.fill(k_none);
  state.owner.fill(k_none);
  state.sender.fill(k_none);
  state.building.fill(k_none);
  state.waiting.fill(k_none);
  return state;
}

bool push(QueueState& state, Small element) {
  if (at(state.queued) + k_ids + k_services >= k_queue) {  // Room for what comes back.
    return false;
  }
  state.queue[at(state.queued)] = element;
  ++state.queued;
  return true;
}

Answer beat(QueueState& state, const Rules& rules, Small lease_id, bool join, std::uint8_t held,
            bool tells) {
  if (!join && !has(state.workers, lease_id)) {
    return {.word = Word::lost};
  }
  add(state.workers, lease_id);
  remove(state.expired, lease_id);
  if (tells) {
    add(state.about, lease_id);
  }
  Answer answer{.word = Word::ok, .paused = has(state.paused, lease_id)};
  mark(state, lease_id, answer);
  for (Small id = 0; at(id) < k_ids; ++id) {
    if (has(held, id) && !holds(state, lease_id, id)) {
      add(answer.gone, id);
    } else if (!has(held, id) && holds(state, lease_id, id) && rules.guards.beat_names_strays) {
      add(answer.strays, id);
    }
  }
  return answer;
}

Answer take(QueueState& state, const Rules& rules, Small lease_id) {
  if (!has(state.workers, lease_id)) {
    return {.word = Word::lost};
  }
  Answer answer;
  if (has(state.paused, lease_id)) {
    mark(state, lease_id, answer);
    answer.word = Word::paused;
    return answer;
  }
  if (state.queued == 0) {
    mark(state, lease_id, answer);
    answer.word = Word::empty;
    return answer;
  }
  answer.word = Word::again;
  Small place = 0;
  Small id = state.queue[0];
  domain::Placement placed = placed_at(state, rules, id);
  if (rules.width > 1 && placed.place == domain::Place::built) {
    keep_books(state, rules);
    place = in_turn(state, rules);
    id = state.queue[at(place)];
    placed = placed_at(state, rules, id);
  }
  remove_at(state, place);
  answer.left = id;
  if (id == k_garbage) {
    ++state.dead;
    answer.note = Note::malformed;
    mark(state, lease_id, answer);
    return answer;
  }
  const Small service = rules.service[at(id)];
  switch (placed.place) {
    case domain::Place::dropped:
      answer.note = Note::duplicate;
      break;
    case domain::Place::ended:
      conclude(state, id, k_none, final_of(placed.verdict));
      answer.note = Note::ended;
      break;
    case domain::Place::waiting: {
      const bool ended = let_wait(state, rules, id, state.building[at(service)]);
      answer.note = ended ? Note::ended : Note::waits;
      break;
    }
    case domain::Place::built:
      if (rules.width > 1) {
        count_build(state, rules, id);
        count_turn(state, rules.organization[at(id)]);
        state.passed = place == 0 ? Small{0} : static_cast<Small>(state.passed + 1);
      }
      state.owner[at(id)] = lease_id;
      if (service != k_none) {
        state.building[at(service)] = id;
      }
      answer.word = Word::job;
      answer.id = id;
      answer.attempt = ++state.attempts[at(id)];
      answer.stage = state.stage[at(id)];
      break;
  }
  mark(state, lease_id, answer);
  return answer;
}

Answer look(QueueState& state, const Rules& rules, Small lease_id) {
  if (!has(state.workers, lease_id)) {
    return {.word = Word::lost};
  }
  Answer answer{.word = Word::ok};
  std::array<Small, k_services> newest{};  // Seen in the queue so far.
  newest.fill(k_none);
  for (Small position = 0; position < state.queued; ++position) {
    const Small id = state.queue[at(position)];
    if (id == k_garbage ||
        domain::place_of(known(state, rules, id, lease_id), rules.most_attempts).place !=
            domain::Place::waiting) {
      continue;
    }
    const Small service = rules.service[at(id)];
    const Small running = state.building[at(service)];
    if (!rules.guards.look_keeps_places) {
      remove_at(state, position--);
      let_wait(state, rules, id, running);
      continue;
    }
    Small& waiting = state.waiting[at(service)];
    const Small before = newest[at(service)] != k_none ? newest[at(service)] : waiting;
    if (before == id) {
      continue;
    }
    if (before != k_none) {
      if (before == waiting) {
        waiting = k_none;
      } else {
        remove_at(state, position_of(state, before));
        --position;
      }
      conclude(state, before, k_none, Final::by_newer);
      ++answer.jobs;
    }
    add(state.newer, running);
    newest[at(service)] = id;
  }
  mark(state, lease_id, answer);
  return answer;
}

Answer finish(QueueState& state, const Rules& rules, Small lease_id, Small id, Final final) {
  if (state.owner[at(id)] != lease_id && rules.guards.finish_checks_owner) {
    if (state.out[at(id)] != Final::none && state.sender[at(id)] == lease_id &&
        rules.guards.finish_repeats_lost_answers) {
      return {.word = Word::ok, .final = state.out[at(id)]};
    }
    return {.word = Word::lost};
  }
  domain::Known seen = known(state, rules, id);
  seen.cancelled = seen.cancelled && rules.guards.finish_obeys_cancels;
  final = final_of(domain::verdict_on(seen), final);
  disown(state, rules, id);
  conclude(state, id, lease_id, final);
  return {.word = Word::ok, .final = final};
}

Answer record(QueueState& state, const Rules& rules, Small lease_id, Small id, Small stage) {
  if (state.owner[at(id)] != lease_id && rules.guards.record_checks_owner) {
    return {.word = Word::lost};
  }
  state.stage[at(id)] = stage;
  return {.word = Word::ok};
}

Answer requeue(QueueState& state, const Rules& rules, Small lease_id, Small id) {
  if (state.owner[at(id)] != lease_id && rules.guards.requeue_checks_owner) {
    return {.word = Word::lost};
  }
  if (state.attempts[at(id)] > 0) {
    --state.attempts[at(id)];
  }
  disown(state, rules, id);
  push_front(state, id);
  return {.word = Word::ok};
}

Answer adopt(QueueState& state, const Rules& rules, Small lease_id, Small preferred) {
  if (!has(state.workers, lease_id)) {
    return {.word = Word::lost};
  }
  const auto adoptable = [&](Small id) {
    const Small sender = state.sender[at(id)];
    return state.out[at(id)] != Final::none &&
           (sender == k_none || !has(state.workers, sender) ||
            (!rules.guards.adopt_spares_living && sender != lease_id));
  };
  Small found = preferred;
  if (found == k_none || !adoptable(found)) {
    for (found = 0; at(found) < k_ids && !adoptable(found); ++found) {
    }
  }
  if (at(found) == k_ids) {
    return {.word = Word::none};
  }
  state.sender[at(found)] = lease_id;
  return {.word = Word::out, .id = found, .final = state.out[at(found)]};
}

Answer settle(QueueState& state, Small lease_id, Small id, bool later, bool bury) {
  if (state.out[at(id)] == Final::none || state.sender[at(id)] != lease_id) {
    return {.word = Word::lost};
  }
  state.sender[at(id)] = k_none;
  if (!later) {
    state.out[at(id)] = Final::none;
    state.dead = static_cast<std::uint8_t>(state.dead + (bury ? 1 : 0));
  }
  return {.word = Word::ok};
}

Answer cancel(QueueState& state, const Rules& rules, Small id) {
  const auto waits = std::ranges::find(state.waiting, id);
  const Small position = position_of(state, id);
  const bool queued = position < state.queued;
  const auto answer =
      domain::answer_to_cancel(known(state, rules, id), queued || waits != state.waiting.end());
  if (answer == domain::CancelAnswer::late) {
    return {.word = Word::late, .status = state.ended[at(id)]};
  }
  if (rules.guards.cancel_leaves_tombstone) {
    add(state.tomb, id);
  }
  switch (answer) {
    case domain::CancelAnswer::reporting:
      if (status_of(state.out[at(id)]) != Status::cancelled) {
        state.out[at(id)] = Final::by_user;
        state.ended[at(id)] = Status::cancelled;
      }
      return {.word = Word::reporting};
    case domain::CancelAnswer::owned:
      return {.word = Word::owned};
    case domain::CancelAnswer::removed:
      if (waits != state.waiting.end()) {
        *waits = k_none;
      } else {
        remove_at(state, position);
      }
      conclude(state, id, k_none, Final::by_user);
      return {.word = Word::removed};
    default:
      return {.word = Word::noted};
  }
}

Answer reap(QueueState& state, const Rules& rules, Small lease_id) {
  Answer answer;
  for (Small late = 0; at(late) < k_leases; ++late) {
    const bool wanted = lease_id == k_none ? has(state.expired, late) : late == lease_id;
    if (wanted && has(state.workers, late)) {
      answer.jobs = static_cast<Small>(answer.jobs + retire(state, rules, late));
      ++answer.retired;
    }
  }
  return answer;
}

}  // namespace builder::model
