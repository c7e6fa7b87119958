#include "model/explorer.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_set>

namespace builder::model {

namespace {

enum class Phase : std::uint8_t { idle, taken, announced, deciding, reporting };

/// One process with a slot for a build and one for a status it delivers for others.
struct Process {
  Small lease_id = k_none;
  bool up = true;
  bool fence = true;  ///< The last beat is young enough.
  Phase phase = Phase::idle;
  Small job = k_none;
  Final decided = Final::none;
  bool told = false;    ///< Has heard that the job shall stop.
  bool posted = false;  ///< The platform has taken the final status.
  Small pump = k_none;
  Final pump_final = Final::none;
  bool pump_posted = false;
};

/// What the platform saw of one deployment.
struct Record {
  std::uint8_t statuses = 0;  ///< Final ones, as bits.
  Small finals = 0;
  Small allowed = 1;  ///< Final posts that are explained by faults.
  Small buildings = 0;
  Small building_limit = 0;
  bool cancelled_late = false;
  bool pushed = false;
  bool finished = false;
  bool cancelled_early = false;  ///< Before it was decided.
  bool came_up = false;          ///< Has been the first of the queue and left it.
};

struct World {
  QueueState redis;
  std::array<Process, 2> processes;
  std::array<Record, k_ids> records;
  Small next_push = 0;
  Small next_lease = 0;
  Budgets left;
};

static_assert(std::has_unique_object_representations_v<World> || sizeof(bool) == 1);

struct Key {
  std::uint64_t a;
  std::uint64_t b;
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const { return key.a; }
};

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdULL;
  value ^= value >> 29;
  value *= 0xc4ceb9fe1a85ec53ULL;
  return value ^ (value >> 32);
}

Key key_of(const World& world) {
  std::array<std::uint64_t, (sizeof(World) + 7) / 8> words{};
  std::memcpy(words.data(), &world, sizeof world);
  Key key{0x9e3779b97f4a7c15ULL, 0xd1b54a32d192ed03ULL};
  for (const std::uint64_t word : words) {
    key.a = mix(key.a ^ word);
    key.b = mix(key.b + word * 0x2545f4914f6cdd1dULL);
  }
  return key;
}

class Explorer {
 public:
  explicit Explorer(const Scope& scope) : scope_(scope), rules_(scope.rules) {}

  Exploration run() {
    World first;
    first.redis = empty_queue();
    first.left = scope_.budgets;
    for (Process& process : first.processes) {
      join(first, process);
    }
    visit(first, "start");
    for (std::size_t next = 0; !frontier_.empty() && violation_.empty(); ++next) {
      if (parents_.size() > scope_.most_states) {
        return result(false);
      }
      current_ = next;
      const World world = frontier_.front();
      frontier_.pop_front();
      expand(world);
    }
    return result(violation_.empty());
  }

 private:
  struct Origin {
    std::uint32_t parent;
    const char* label;
  };

  Exploration result(bool complete) const {
    Exploration found{.states = parents_.size(),
                      .transitions = transitions_,
                      .complete = complete,
                      .violation = violation_,
                      .trace = {}};
    if (!violation_.empty()) {
      found.trace.emplace_back(last_label_);
      for (std::size_t i = current_; i != 0; i = parents_[i].parent) {
        found.trace.emplace_back(parents_[i].label);
      }
      std::ranges::reverse(found.trace);
    }
    return found;
  }

  void violate(const char* what) {
    if (violation_.empty()) {
      violation_ = what;
    }
  }

  void visit(const World& world, const char* label) {
    ++transitions_;
    last_label_ = label;
    check(world);
    if (!violation_.empty() || !seen_.insert(key_of(world)).second) {
      return;
    }
    parents_.push_back({static_cast<std::uint32_t>(current_), label});
    frontier_.push_back(world);
  }

  /// Makes the change on a copy and visits it. A change that leaves all as it was is none.
  template <class Change>
  void step(const World& world, const char* label, Change&& change) {
    if (!violation_.empty()) {
      return;
    }
    World next = world;
    last_label_ = label;
    std::forward<Change>(change)(next);
    if (std::memcmp(&next, &world, sizeof next) != 0 || !violation_.empty()) {
      visit(next, label);
      ++steps_;
    }
  }

  // Invariants of a state.

  void check(const World& world) {
    for (Small id = 0; at(id) < k_ids; ++id) {
      if (world.records[at(id)].pushed && !is_somewhere(world.redis, id)) {
        violate("I1: a job is lost");
      }
      if (world.redis.passed > rules_.most_passed) {
        violate("the first of the queue is left too often");
      }
      if (world.redis.stage[at(id)] != 0 && world.redis.ended[at(id)] != Status::none) {
        violate("what was recorded of a deployment outlives it");
      }
      const bool superseded =
          (world.redis.newer & bit(id)) != 0 || world.redis.out[at(id)] == Final::by_newer;
      if (superseded && !has_newer(world, id)) {
        violate("a job is superseded by an older one");
      }
    }
    for (Small service = 0; at(service) < k_services; ++service) {
      const auto builds = std::ranges::count_if(world.processes, [&](const Process& process) {
        return process.up && process.fence && process.phase == Phase::announced &&
               rules_.service[at(process.job)] == service;
      });
      if (builds > 1) {
        violate("two builds of one service at once");
      }
    }
  }

  static bool is_somewhere(const QueueState& redis, Small id) {
    const auto end = redis.queue.begin() + redis.queued;
    return redis.owner[at(id)] != k_none || redis.ended[at(id)] != Status::none ||
           std::ranges::find(redis.waiting, id) != redis.waiting.end() ||
           std::find(redis.queue.begin(), end, id) != end;
  }

  /// Place among what the platform pushes.
  [[nodiscard]] auto order(Small id) const { return std::ranges::find(scope_.pushes, id); }

  [[nodiscard]] bool has_newer(const World& world, Small id) const {
    return std::any_of(order(id), scope_.pushes.end(), [&](Small other) {
      return other != id && rules_.service[at(other)] == rules_.service[at(id)] &&
             world.records[at(other)].pushed;
    });
  }

  /// After an element has left the queue. What came back to it may be overtaken.
  void check_order(World& world, const Answer& answer) {
    world.records[at(answer.left)].came_up = true;
    for (Small position = 0; answer.word == Word::job && position < world.redis.queued;
         ++position) {
      const Small behind = world.redis.queue[at(position)];
      if (!world.records[at(behind)].came_up && world.redis.ended[at(behind)] == Status::none &&
          order(behind) < order(answer.id) && are_in_order(behind, answer.id) &&
          !waits_for_another(world.redis, behind, answer.id)) {
        violate("a job overtakes one that was queued before it");
      }
    }
  }

  /// Its service is built, and would be without the job that was taken.
  [[nodiscard]] bool waits_for_another(const QueueState& redis, Small id, Small taken) const {
    const Small service = rules_.service[at(id)];
    const Small running = service == k_none ? k_none : redis.building[at(service)];
    return rules_.width > 1 && running != k_none && running != taken;
  }

  /// Whether the second one may not overtake the first.
  [[nodiscard]] bool are_in_order(Small first, Small second) const {
    const Small service = rules_.service[at(first)];
    return rules_.width == 1 || (service != k_none && rules_.service[at(second)] == service) ||
           rules_.organization[at(first)] == rules_.organization[at(second)];
  }

  // The platform.

  void post_building(World& world, Small id) {
    Record& record = world.records[at(id)];
    if (record.statuses != 0) {
      violate("I5: BUILDING after the end");
    }
    if (++record.buildings > rules_.most_attempts + record.building_limit) {
      violate("I6: more builds than attempts");
    }
  }

  void post_final(World& world, Small id, Final final) {
    Record& record = world.records[at(id)];
    const auto status = static_cast<std::uint8_t>(1u << static_cast<unsigned>(status_of(final)));
    const bool other = (record.statuses & ~status) != 0;
    if (other && !(status_of(final) == Status::cancelled && record.cancelled_late)) {
      violate("I3: two different ends");
    }
    record.statuses = static_cast<std::uint8_t>(record.statuses | status);
    if (++record.finals > record.allowed) {
      violate("I4: more ends than faults explain");
    }
  }

  // The worker.

  void join(World& world, Process& process) {
    process.lease_id = world.next_lease++;
    process.fence = true;
    beat(world.redis, rules_, process.lease_id, true);
  }

  [[nodiscard]] bool may_join(const World& world) const { return at(world.next_lease) < k_leases; }

  static void explain_repetition(World& world, Process& process) {
    if (process.posted) {
      ++world.records[at(process.job)].allowed;
    }
    if (process.pump_posted) {
      ++world.records[at(process.pump)].allowed;
    }
  }

  static void drop_all(World& world, Process& process) {
    explain_repetition(world, process);
    process = {.lease_id = process.lease_id, .up = process.up, .fence = process.fence};
  }

  static void drop_job(Process& process) {
    process.phase = Phase::idle;
    process.job = k_none;
    process.decided = Final::none;
    process.told = false;
    process.posted = false;
  }

  static void drop_pump(Process& process) {
    process.pump = k_none;
    process.pump_final = Final::none;
    process.pump_posted = false;
  }

  static void hear(Process& process, const Answer& answer) {
    if (process.job != k_none && ((answer.by_user | answer.by_newer) & bit(process.job)) != 0) {
      process.told = true;
    }
  }

  /// What the process knows to be its own.
  static std::uint8_t held(const Process& process) {
    std::uint8_t ids = 0;
    for (const Small id : {process.job, process.pump}) {
      ids = static_cast<std::uint8_t>(ids | (id == k_none ? 0 : bit(id)));
    }
    return ids;
  }

  void return_strays(World& world, const Process& process, std::uint8_t strays) const {
    for (Small id = 0; at(id) < k_ids; ++id) {
      if ((strays & bit(id)) != 0 &&
          requeue(world.redis, rules_, process.lease_id, id).word == Word::lost) {
        settle(world.redis, process.lease_id, id, true, false);
      }
    }
  }

  void lost(World& world, Process& process) {
    drop_all(world, process);
    join(world, process);
  }

  void expand(const World& world) {
    steps_ = 0;
    for (std::size_t i = 0; i < world.processes.size(); ++i) {
      if (world.processes[i].up) {
        expand_worker(world, i);
      }
    }
    for (std::size_t i = 0; i < world.processes.size(); ++i) {
      if (!world.processes[i].up && may_join(world)) {
        step(world, "restart", [&](World& w) {
          w.processes[i] = {};
          join(w, w.processes[i]);
        });
      }
    }
    expire_leases(world);
    if (steps_ == 0 && violation_.empty() && may_join(world) && !is_done(world)) {
      last_label_ = "nothing can happen";
      violate("stuck: work is left and nobody can do it");
      return;
    }
    expand_faults(world);
  }

  static bool is_done(const World& world) {
    const auto none = [](const auto& all, auto nothing) {
      return std::ranges::all_of(all, [&](auto one) { return one == nothing; });
    };
    return world.redis.queued == 0 && none(world.redis.owner, k_none) &&
           none(world.redis.waiting, k_none) && none(world.redis.out, Final::none);
  }

  void expire_leases(const World& world) {
    for (Small lease_id = 0; at(lease_id) < k_leases; ++lease_id) {
      if ((world.redis.workers & bit(lease_id)) == 0 ||
          (world.redis.expired & bit(lease_id)) != 0) {
        continue;
      }
      const bool held = std::ranges::any_of(world.processes, [&](const Process& process) {
        return process.up && process.lease_id == lease_id && process.fence;
      });
      if (!held || !scope_.fence_ends_before_lease) {
        step(world, "lease ends", [&](World& w) {
          w.redis.expired = static_cast<std::uint8_t>(w.redis.expired | bit(lease_id));
        });
      }
    }
  }

  void expand_worker(const World& world, std::size_t i) {
    const Process& self = world.processes[i];
    const bool may_post = self.fence || !scope_.fence_before_posts;
    step(world, i == 0 ? "A beats" : "B beats", [&](World& w) {
      Process& process = w.processes[i];
      const Answer answer = beat(w.redis, rules_, process.lease_id, false, held(process));
      if (answer.word == Word::lost) {
        if (may_join(w)) {
          lost(w, process);
        }
        return;
      }
      process.fence = true;
      hear(process, answer);
      return_strays(w, process, answer.strays);
    });
    step(world, i == 0 ? "A reaps" : "B reaps", [&](World& w) { reap(w.redis, rules_, k_none); });
    if (self.phase == Phase::idle && self.fence) {
      take_job(world, i);
    }
    if (self.phase == Phase::announced) {
      step(world, i == 0 ? "A looks" : "B looks",
           [&](World& w) { hear(w.processes[i], look(w.redis, rules_, w.processes[i].lease_id)); });
    }
    if (self.phase == Phase::taken && may_post && !self.told) {
      step(world, i == 0 ? "A: BUILDING" : "B: BUILDING", [&](World& w) {
        w.processes[i].phase = Phase::announced;
        post_building(w, self.job);
      });
    }
    if (self.phase == Phase::announced && world.left.records > 0) {
      step(world, i == 0 ? "A records" : "B records", [&](World& w) {
        --w.left.records;
        record(w.redis, rules_, self.lease_id, self.job, 1);
      });
    }
    if (self.phase == Phase::announced || self.phase == Phase::deciding ||
        (self.phase == Phase::taken && self.told)) {
      decide(world, i, Final::builded);
      decide(world, i, Final::failed);
    }
    if (self.phase == Phase::reporting) {
      report(world, i, may_post);
    }
    deliver_for_others(world, i, may_post);
  }

  void take_job(const World& world, std::size_t i) {
    const auto body = [&](World& w, bool heard) {
      Process& process = w.processes[i];
      const Answer answer = take(w.redis, rules_, process.lease_id);
      if (w.redis.queued < world.redis.queued) {
        check_order(w, answer);
      }
      if (!heard) {
        --w.left.losses;
        return;
      }
      if (answer.word == Word::lost) {
        return;  // The next beat finds out.
      }
      if (answer.word == Word::job) {
        if ((world.redis.tomb & bit(answer.id)) != 0 && !self_owns(world, i, answer.id)) {
          violate("a cancelled job was handed out");
        }
        process.job = answer.id;
        process.phase = Phase::taken;
        hear(process, answer);
      }
    };
    step(world, i == 0 ? "A takes" : "B takes", [&](World& w) { body(w, true); });
    if (world.left.losses > 0 && world.redis.queued > 0) {
      step(world, i == 0 ? "A takes, answer lost" : "B takes, answer lost",
           [&](World& w) { body(w, false); });
    }
  }

  static bool self_owns(const World& world, std::size_t i, Small id) {
    return world.redis.owner[at(id)] == world.processes[i].lease_id;
  }

  void decide(const World& world, std::size_t i, Final wanted) {
    const auto body = [&](World& w, bool heard) {
      Process& process = w.processes[i];
      Record& record = w.records[at(process.job)];
      const bool cancelled = (w.redis.tomb & bit(process.job)) != 0 || record.cancelled_early;
      const bool decides = w.redis.owner[at(process.job)] == process.lease_id;
      const Answer answer = finish(w.redis, rules_, process.lease_id, process.job, wanted);
      if (answer.word == Word::ok && decides) {
        if (record.finished) {
          violate("I2: finished twice");
        }
        record.finished = true;
      }
      if (answer.word == Word::ok && cancelled && answer.final == Final::builded) {
        violate("I7: BUILDED although cancelled before");
      }
      if (!heard) {
        process.phase = Phase::deciding;
        --w.left.losses;
        return;
      }
      if (answer.word == Word::lost) {
        drop_job(process);
        return;
      }
      process.phase = Phase::reporting;
      process.decided = answer.final;
    };
    const bool builded = wanted == Final::builded;
    step(world, builded ? "finish BUILDED" : "finish FAILED", [&](World& w) { body(w, true); });
    if (world.left.losses > 0) {
      step(world, builded ? "finish BUILDED, answer lost" : "finish FAILED, answer lost",
           [&](World& w) { body(w, false); });
    }
  }

  void report(const World& world, std::size_t i, bool may_post) {
    const Process& self = world.processes[i];
    if (self.posted) {
      step(world, i == 0 ? "A settles" : "B settles", [&](World& w) {
        settle(w.redis, self.lease_id, self.job, false, false);
        drop_job(w.processes[i]);
      });
      return;
    }
    if (self.told && status_of(self.decided) != Status::cancelled) {
      // Between two attempts the worker heard of a cancel: what is to be sent now?
      step(world, i == 0 ? "A asks again" : "B asks again", [&](World& w) {
        Process& process = w.processes[i];
        const Answer answer =
            finish(w.redis, rules_, process.lease_id, process.job, process.decided);
        if (answer.word == Word::lost) {
          drop_job(process);
        } else {
          process.decided = answer.final;
        }
        process.told = false;
      });
      return;
    }
    if (may_post) {
      step(world, i == 0 ? "A posts the end" : "B posts the end", [&](World& w) {
        post_final(w, self.job, self.decided);
        w.processes[i].posted = true;
      });
      if (world.left.losses > 0) {
        step(world, i == 0 ? "A posts the end, answer lost" : "B posts the end, answer lost",
             [&](World& w) {
               post_final(w, self.job, self.decided);
               ++w.records[at(self.job)].allowed;
               --w.left.losses;
             });
      }
    }
  }

  void deliver_for_others(const World& world, std::size_t i, bool may_post) {
    const Process& self = world.processes[i];
    if (self.pump == k_none) {
      if (self.fence) {
        adopt_one(world, i);
      }
    } else if (self.pump_posted) {
      step(world, i == 0 ? "A settles the adopted" : "B settles the adopted", [&](World& w) {
        settle(w.redis, self.lease_id, self.pump, false, false);
        drop_pump(w.processes[i]);
      });
    } else if (may_post) {
      step(world, i == 0 ? "A posts the adopted" : "B posts the adopted", [&](World& w) {
        post_final(w, self.pump, self.pump_final);
        w.processes[i].pump_posted = true;
      });
    }
  }

  void adopt_one(const World& world, std::size_t i) {
    const auto body = [&](World& w, bool heard) {
      Process& process = w.processes[i];
      const Answer answer = adopt(w.redis, rules_, process.lease_id, k_none);
      if (answer.word != Word::out) {
        return;
      }
      if (!heard) {
        --w.left.losses;
        return;
      }
      process.pump = answer.id;
      process.pump_final = answer.final;
    };
    step(world, i == 0 ? "A adopts" : "B adopts", [&](World& w) { body(w, true); });
    if (world.left.losses > 0) {
      step(world, i == 0 ? "A adopts, answer lost" : "B adopts, answer lost",
           [&](World& w) { body(w, false); });
    }
  }

  void expand_faults(const World& world) {
    if (at(world.next_push) < scope_.pushes.size()) {
      step(world, "push", [&](World& w) {
        const Small id = scope_.pushes[at(w.next_push++)];
        if (push(w.redis, id)) {
          w.records[at(id)].pushed = true;
        }
      });
    }
    for (std::size_t i = 0; i < world.processes.size(); ++i) {
      const Process& self = world.processes[i];
      if (!self.up) {
        continue;
      }
      if (world.left.crashes > 0) {
        step(world, i == 0 ? "A dies" : "B dies", [&](World& w) {
          --w.left.crashes;
          drop_all(w, w.processes[i]);
          w.processes[i] = {.lease_id = self.lease_id, .up = false, .fence = false};
        });
      }
      if (world.left.pauses > 0 && self.fence) {
        step(world, i == 0 ? "A sleeps" : "B sleeps", [&](World& w) {
          --w.left.pauses;
          explain_repetition(w, w.processes[i]);
          w.processes[i].fence = false;
        });
      }
      if (world.left.drains > 0 && (self.phase == Phase::taken || self.phase == Phase::announced)) {
        step(world, i == 0 ? "A gives back" : "B gives back", [&](World& w) {
          --w.left.drains;
          requeue(w.redis, rules_, self.lease_id, self.job);
          ++w.records[at(self.job)].building_limit;
          drop_job(w.processes[i]);
        });
      }
      for (Small id = 0; world.left.cancels > 0 && at(id) < k_ids; ++id) {
        if (world.records[at(id)].pushed) {
          cancel_by(world, i, id);
        }
      }
    }
  }

  void cancel_by(const World& world, std::size_t i, Small id) {
    step(world, i == 0 ? "A hears a cancel" : "B hears a cancel", [&](World& w) {
      --w.left.cancels;
      Record& record = w.records[at(id)];
      const Answer answer = cancel(w.redis, rules_, id);
      if (answer.word == Word::reporting) {
        record.cancelled_late = true;
        ++record.allowed;
      } else if (answer.word == Word::owned) {
        record.cancelled_early = true;
      }
      if (w.processes[i].job == id) {
        w.processes[i].told = true;
      }
    });
  }

  const Scope& scope_;
  const Rules& rules_;
  std::unordered_set<Key, KeyHash> seen_;
  std::deque<World> frontier_;
  std::vector<Origin> parents_;
  std::size_t current_ = 0;
  std::size_t transitions_ = 0;
  std::size_t steps_ = 0;  ///< Ways out of the current state that need no fault.
  std::string violation_;
  const char* last_label_ = "";
};

}  // namespace

Exploration explore(const Scope& scope) {
  return Explorer(scope).run();
}

}  // namespace builder::model
