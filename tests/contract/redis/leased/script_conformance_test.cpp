// The scripts on a real server against their model and against the rules in C++: random calls, and
// after each the answer and everything in Redis must be what the others say. The model knows
// several workers; the rules in C++ know one, so they run along in every other history, which has
// only one. CONFORMANCE_CALLS and CONFORMANCE_SEED choose how many and which.
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/outbox_entry.hpp"
#include "adapters/redis/leased/owner_name.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "base/text.hpp"
#include "domain/deployment_request.hpp"
#include "fakes/memory_queue.hpp"

#include "contract/redis/fixture.hpp"
#include "model/queue_model.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace builder {
namespace {

using adapters::redis::own_key;
using adapters::redis::Reply;
using adapters::redis::Script;
namespace scripts = adapters::redis::scripts;
using model::Answer;
using model::at;
using model::bit;
using model::Final;
using model::k_garbage;
using model::k_none;
using model::Note;
using model::QueueState;
using model::Small;
using model::Status;
using model::Word;

constexpr std::string_view k_dump = R"LUA(
local found = {}
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  if kind == 'list' then
    found[i] = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'hash' then
    found[i] = redis.call('HGETALL', key)
  elseif kind == 'zset' then
    found[i] = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  else
    found[i] = {}
  end
end
return found
)LUA";

constexpr std::string_view k_clear = "for _, key in ipairs(KEYS) do redis.call('DEL', key) end";

std::string id_text(Small id) {
  return "d" + std::to_string(id);
}

std::string service_text(const model::Rules& rules, Small id) {
  const Small service = rules.service[at(id)];
  return service == k_none ? "" : "s" + std::to_string(service);
}

std::string lease_text(Small lease_id) {
  return "lease" + std::to_string(lease_id);
}

/// A GitHub account; empty: nobody.
std::string account_text(Small owner) {
  return owner == model::k_nobody ? "" : "o" + std::to_string(owner);
}

/// As Redis has it.
std::string owner_key(Small owner) {
  return adapters::redis::owner_name(
      {.git_provider = domain::GitProvider{.username = account_text(owner)}});
}

/// The two names of the worker.
std::string host_text(Small lease_id) {
  return "host" + std::to_string(lease_id);
}

std::string process_text(Small lease_id) {
  return host_text(lease_id) + ":7";
}

void add_names(std::vector<std::string>& arguments, Small lease_id) {
  arguments.push_back(host_text(lease_id));
  arguments.push_back(process_text(lease_id));
}

const std::string k_pause = R"({"note":"n"})";

std::string entry_text(Final final) {
  switch (final) {
    case Final::none:
      return "";
    case Final::builded:
      return R"({"status":"BUILDED","image":"r/x"})";
    case Final::failed:
      return R"({"status":"FAILED","error":"e"})";
    case Final::no_more_attempts:
      return R"({"status":"FAILED","reason":"attempts"})";
    case Final::by_user:
      return R"({"status":"CANCELLED","reason":"user"})";
    case Final::by_newer:
      return R"({"status":"CANCELLED","reason":"superseded"})";
  }
  return "";
}

std::string status_text(Status status) {
  switch (status) {
    case Status::none:
      return "";
    case Status::builded:
      return "BUILDED";
    case Status::failed:
      return "FAILED";
    case Status::cancelled:
      return "CANCELLED";
  }
  return "";
}

/// The id an element of ours names: `"d` and a digit.
std::string element_text(const std::string& payload) {
  if (!payload.starts_with("{\"") || !payload.ends_with('}')) {
    return "garbage";
  }
  for (std::size_t at = payload.find("\"d"); at != std::string::npos;
       at = payload.find("\"d", at + 1)) {
    if (std::isdigit(static_cast<unsigned char>(payload.at(at + 2))) != 0 &&
        payload.at(at + 3) == '"') {
      return payload.substr(at + 1, 2);
    }
  }
  return "garbage";
}

using Picture = std::map<std::string, std::string>;

/// What the model holds, in words.
Picture picture_of(const QueueState& state, const model::Rules& rules) {
  Picture picture;
  for (Small i = 0; i < state.queued; ++i) {
    const Small element = state.queue[at(i)];
    picture["queue"] += (element == k_garbage ? "garbage" : id_text(element)) + " ";
  }
  for (Small id = 0; at(id) < model::k_ids; ++id) {
    const std::string name = id_text(id);
    if (state.owner[at(id)] != k_none) {
      picture["own " + name] = lease_text(state.owner[at(id)]) + " " + service_text(rules, id);
      picture["pay " + name] = name;
    }
    if (state.attempts[at(id)] != 0) {
      picture["att " + name] = std::to_string(state.attempts[at(id)]);
    }
    if (state.stage[at(id)] != 0) {
      picture["stage " + name] = std::to_string(state.stage[at(id)]);
    }
    if ((state.newer & bit(id)) != 0) {
      picture["newer " + name] = "";
    }
    if ((state.tomb & bit(id)) != 0) {
      picture["tomb " + name] = "";
    }
    if (state.ended[at(id)] != Status::none) {
      picture["fin " + name] = status_text(state.ended[at(id)]);
      picture["seen " + name] = "";
    }
    if (state.out[at(id)] != Final::none) {
      const Small sender = state.sender[at(id)];
      picture["out " + name] =
          (sender == k_none ? "-" : lease_text(sender)) + " " + entry_text(state.out[at(id)]);
    }
  }
  for (Small service = 0; at(service) < model::k_services; ++service) {
    const std::string name = "s" + std::to_string(service);
    if (state.building[at(service)] != k_none) {
      picture["svc " + name] = id_text(state.building[at(service)]);
    }
    if (state.waiting[at(service)] != k_none) {
      picture["wait " + name] = id_text(state.waiting[at(service)]);
    }
  }
  for (Small lease_id = 0; at(lease_id) < model::k_leases; ++lease_id) {
    if ((state.workers & bit(lease_id)) != 0) {
      picture["worker " + lease_text(lease_id)] =
          (state.expired & bit(lease_id)) != 0 ? "late" : "";
    }
    if ((state.about & bit(lease_id)) != 0) {
      picture["about " + lease_text(lease_id)] = "{}";
    }
  }
  picture["dead"] = std::to_string(state.dead);
  picture["passed"] = std::to_string(state.passed);
  for (Small turn = 1; at(turn) <= model::k_owners; ++turn) {
    const auto owner = std::ranges::find(state.turn, turn);
    if (owner != state.turn.end()) {
      picture["turn"] += owner_key(static_cast<Small>(owner - state.turn.begin())) + " ";
    }
  }
  return picture;
}

/// What Redis holds, in the same words.
Picture picture_of(const Reply& dump) {
  Picture picture;
  const auto pairs = [&](std::size_t key,
                         const std::function<void(const std::string&, const std::string&)>& each) {
    const auto& list = dump.list.at(key).list;
    for (std::size_t i = 0; i + 1 < list.size(); i += 2) {
      each(list[i].text, list[i + 1].text);
    }
  };
  for (const Reply& element : dump.list.at(0).list) {
    picture["queue"] += element_text(element.text) + " ";
  }
  pairs(1, [&](const auto& name, const auto& score) {
    picture["worker " + name] = score.size() < 10 ? "late" : "";
  });
  pairs(2, [&](const auto& name, const auto& value) { picture["own " + name] = value; });
  pairs(3,
        [&](const auto& name, const auto& value) { picture["pay " + name] = element_text(value); });
  pairs(4, [&](const auto& name, const auto& value) { picture["att " + name] = value; });
  pairs(5, [&](const auto& name, const auto& value) { picture["svc " + name] = value; });
  pairs(6, [&](const auto& name, const auto& value) {
    picture["wait " + name] = element_text(value);
  });
  pairs(7, [&](const auto& name, const auto&) { picture["newer " + name] = ""; });
  pairs(8, [&](const auto& name, const auto&) { picture["tomb " + name] = ""; });
  pairs(9, [&](const auto& name, const auto& value) { picture["fin " + name] = value; });
  pairs(10, [&](const auto& name, const auto&) { picture["seen " + name] = ""; });
  pairs(11, [&](const auto& name, const auto& value) {
    const std::size_t first = value.find(' ');
    const std::size_t second = value.find(' ', first + 1);
    picture["out " + name] = value.substr(0, first) + value.substr(second);
  });
  picture["dead"] = std::to_string(dump.list.at(12).list.size() % 256);
  pairs(13, [&](const auto& name, const auto& value) { picture["stage " + name] = value; });
  pairs(16, [&](const auto& name, const auto& value) {
    picture["about " + name] = value.substr(value.find(' ') + 1);
  });
  picture["passed"] = "0";
  pairs(18, [&](const auto& name, const auto& value) {
    if (name == ":passed") {
      picture["passed"] = value;
    }
  });
  pairs(19, [&](const auto& owner, const auto&) { picture["turn"] += owner + " "; });
  return picture;
}

/// What the rules in C++ hold, in the same words. What they have no part in is not there.
Picture picture_of(const fakes::MemoryQueue& queue) {
  const domain::JobLedger& ledger = queue.ledger();
  Picture picture;
  for (const std::string& element : queue.queued()) {
    picture["queue"] += element_text(element) + " ";
  }
  for (const auto& [id, job] : ledger.owned()) {
    const std::string service = job.service ? job.service->str() : "";
    picture["own " + id.str()] = lease_text(0) + " " + service;
    picture["pay " + id.str()] = element_text(job.element);
    if (job.service) {
      picture["svc " + service] = id.str();
    }
  }
  for (const auto& [service, job] : ledger.waiting()) {
    picture["wait " + service.str()] = element_text(job.element);
  }
  for (const auto& [id, out] : ledger.outgoing()) {
    picture["out " + id.str()] =
        (out.ours ? lease_text(0) : "-") + " " + adapters::redis::write_entry(out.ending);
  }
  for (Small number = 0; at(number) < model::k_ids; ++number) {
    const domain::DeploymentId id(id_text(number));
    const domain::Known known = ledger.known(id);
    const auto add = [&](bool wanted, const char* what, const std::string& value = "") {
      if (wanted) {
        picture[what + id.str()] = value;
      }
    };
    const std::string stage = ledger.checkpoint(id).commit;
    add(known.ended, "seen ");
    add(known.cancelled, "tomb ");
    add(known.superseded, "newer ");
    add(!stage.empty(), "stage ", stage);
  }
  return picture;
}

bool is_kept_by_rules(const std::string& name) {
  return name != "dead" && name != "passed" && name != "turn" && !name.starts_with("worker ") &&
         !name.starts_with("about ") && !name.starts_with("fin ") && !name.starts_with("att ");
}

std::string words(const Picture& picture) {
  std::string text;
  for (const auto& [name, value] : picture) {
    text += "  " + name + " = " + value + "\n";
  }
  return text;
}

std::set<std::string> marks_of(const Reply& reply) {
  std::set<std::string> marks;
  for (std::size_t i = 0; i + 1 < reply.list.size(); i += 2) {
    marks.insert(reply.list[i].text + " " + reply.list[i + 1].text);
  }
  return marks;
}

std::set<std::string> marks_of(const Answer& answer) {
  std::set<std::string> marks;
  for (Small id = 0; at(id) < model::k_ids; ++id) {
    if ((answer.by_user & bit(id)) != 0) {
      marks.insert(id_text(id) + " user");
    }
    if ((answer.by_newer & bit(id)) != 0) {
      marks.insert(id_text(id) + " superseded");
    }
    if ((answer.gone & bit(id)) != 0) {
      marks.insert(id_text(id) + " gone");
    }
  }
  return marks;
}

void add_ids(std::vector<std::string>& arguments, std::uint8_t set) {
  for (Small id = 0; at(id) < model::k_ids; ++id) {
    if ((set & bit(id)) != 0) {
      arguments.push_back(id_text(id));
    }
  }
}

class ScriptConformance : public RealRedisTest {
 protected:
  void SetUp() override {
    RealRedisTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    connection_ = Connection::open(config(queue_), "conformance", {}).value();
    rules_.service = {0, 0, 1, 0, k_none};
    rules_.organization = {0, 1, 1, 0, model::k_nobody};
    rules_.most_attempts = 2;
  }

  void TearDown() override {
    if (connection_) {
      clear();
    }
  }

  Reply call(const Script& script, std::vector<std::string> arguments) {
    auto reply = script.run(*connection_, arguments);
    EXPECT_TRUE(reply) << (reply ? "" : reply.error().message);
    return reply ? *std::move(reply) : Reply();
  }

  void raw(std::vector<std::string> command) { ASSERT_TRUE(connection_->call(command, {})); }

  void clear() {
    call(clear_, {});
    state_ = model::empty_queue();
    alone_.reset();
  }

  /// One worker only, and the rules in C++ run along.
  void be_alone() {
    alone_ = std::make_unique<fakes::MemoryQueue>();
    call(beat_, {lease_text(0), "3600000", "1", "", "", ""});
    model::beat(state_, rules_, 0, true);
  }

  [[nodiscard]] ports::Receipt receipt(Small id) const {
    return alone_->receipt(domain::DeploymentId(id_text(id)));
  }

  Small pick(std::size_t limit) {
    return static_cast<Small>(std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_));
  }

  bool chance(int percent) { return pick(100) < percent; }

  std::string payload_of(Small id) {
    if (id == k_garbage) {
      static const std::vector<std::string> garbage{"",
                                                    "x",
                                                    "[]",
                                                    "{}",
                                                    "7",
                                                    R"({"deploymentId":7})",
                                                    R"({"deploymentId":"../x"})",
                                                    R"({"deploymentId":""})",
                                                    R"({"deploymentId":"d0")"};
      return garbage[at(pick(garbage.size()))];
    }
    const std::string service = service_text(rules_, id);
    const std::string id_field =
        "\"deploymentId\":" + std::string(chance(50) ? " " : "") + "\"" + id_text(id) + "\"";
    const std::string service_field =
        service.empty() ? R"("serviceId":null)" : "\"serviceId\":\"" + service + "\"";
    const std::string account = account_text(rules_.organization[at(id)]);
    const std::string provider_field =
        account.empty() && chance(50)
            ? R"("gitProvider":null)"
            : R"("gitProvider": {"type":"GITHUB","githubAccount":{"username": ")" + account +
                  "\"}}";
    return chance(50) ? "{" + id_field + "," + service_field + "," + provider_field + "}"
                      : "{" + provider_field + "," + id_field + ",\"x\":[1,{}]," + service_field +
                            ",\"y\":\"\\u003c\\\"serviceId\\\":\\\"s7\\\"\"}";
  }

  void same(const Reply& reply, std::size_t index, const std::string& wanted) {
    ASSERT_LT(index, reply.list.size()) << doing_;
    EXPECT_EQ(reply.list[index].text, wanted) << doing_;
  }

  void same_marks(const Reply& reply, const Answer& answer) {
    EXPECT_EQ(marks_of(reply.list.at(1)), marks_of(answer)) << doing_;
  }

  void random_call();
  void compare();

  void call_push();
  void call_beat(Small lease_id);
  Answer take_one(Small lease_id);
  void call_take(Small lease_id);
  void call_look(Small lease_id);
  void call_finish(Small lease_id);
  void call_record(Small lease_id);
  void call_requeue(Small lease_id);
  Answer adopt_one(Small lease_id);
  void call_adopt(Small lease_id);
  void call_settle(Small lease_id);
  void call_cancel();
  void call_reap();
  void call_pause(Small lease_id);

  std::unique_ptr<Connection> connection_;
  const std::string queue_ = "conformance" + random_hex(6);
  const Script dump_{k_dump, queue_};
  const Script clear_{k_clear, queue_};
  const Script adopt_{scripts::k_adopt, queue_};
  const Script beat_{scripts::k_beat, queue_};
  const Script cancel_{scripts::k_cancel, queue_};
  const Script finish_{scripts::k_finish, queue_};
  const Script requeue_{scripts::k_requeue, queue_};
  const Script look_{scripts::k_look, queue_};
  const Script reap_{scripts::k_reap, queue_};
  const Script record_{scripts::k_record, queue_};
  const Script settle_{scripts::k_settle, queue_};
  const Script take_{scripts::k_take, queue_};
  std::mt19937_64 random_;
  model::Rules rules_;
  QueueState state_ = model::empty_queue();
  std::unique_ptr<fakes::MemoryQueue> alone_;
  std::string doing_;
};

void ScriptConformance::call_push() {
  const Small id = chance(5) ? k_garbage : pick(model::k_ids);
  if (model::push(state_, id)) {
    doing_ = "push";
    const std::string payload = payload_of(id);
    raw({"RPUSH", queue_, payload});
    if (alone_) {
      alone_->push(payload);
    }
  }
}

void ScriptConformance::call_beat(Small lease_id) {
  const bool join = chance(50);
  doing_ = "beat " + lease_text(lease_id) + (join ? " joins" : "");
  const auto held = static_cast<std::uint8_t>(pick(32));
  const bool tells = chance(50);
  std::vector<std::string> arguments{lease_text(lease_id), "3600000", join ? "1" : "0",
                                     tells ? "{}" : ""};
  add_names(arguments, lease_id);
  add_ids(arguments, held);
  const Reply reply = call(beat_, arguments);
  const Answer answer = model::beat(state_, rules_, lease_id, join, held, tells);
  same(reply, 0, answer.word == Word::lost ? "LOST" : "OK");
  same_marks(reply, answer);
  if (answer.word == Word::ok) {
    std::vector<std::string> strays;
    add_ids(strays, answer.strays);
    std::vector<std::string> named;
    for (const Reply& id : reply.list.at(2).list) {
      named.push_back(id.text);
    }
    std::ranges::sort(named);
    EXPECT_EQ(named, strays) << doing_;
    same(reply, 4, answer.paused ? k_pause : "");
  }
}

/// Some or all workers are asked to take nothing, or to go on; only people do that, without
/// scripts.
void ScriptConformance::call_pause(Small lease_id) {
  if (chance(50)) {
    const bool all = chance(20);
    doing_ = "pause " + (all ? "all" : lease_text(lease_id));
    raw({"HSET", own_key(queue_, "pause"),
         all          ? "*"
         : chance(50) ? host_text(lease_id)
                      : process_text(lease_id),
         k_pause});
    state_.paused = all ? 0xff : static_cast<std::uint8_t>(state_.paused | bit(lease_id));
    return;
  }
  doing_ = "resume all";
  raw({"DEL", own_key(queue_, "pause")});
  state_.paused = 0;
}

Answer ScriptConformance::take_one(Small lease_id) {
  doing_ = "take " + lease_text(lease_id);
  std::vector<std::string> arguments{lease_text(lease_id), "2"};
  add_names(arguments, lease_id);
  // Workers that take in turn and others that do not, beside each other.
  rules_.width = alone_ || chance(20) ? Small{1} : static_cast<Small>(model::k_queue);
  if (rules_.width > 1 || chance(50)) {
    arguments.push_back(std::to_string(rules_.width));
    arguments.push_back(std::to_string(rules_.most_passed));
  }
  const Reply reply = call(take_, arguments);
  const Answer answer = model::take(state_, rules_, lease_id);
  static const std::map<Word, std::string> names{{Word::lost, "LOST"},
                                                 {Word::job, "JOB"},
                                                 {Word::empty, "EMPTY"},
                                                 {Word::again, "AGAIN"},
                                                 {Word::paused, "PAUSED"}};
  static const std::map<Note, std::string> notes{{Note::malformed, "malformed"},
                                                 {Note::duplicate, "duplicate"},
                                                 {Note::ended, "ended"},
                                                 {Note::waits, "waits"}};
  same(reply, 0, names.at(answer.word));
  same_marks(reply, answer);
  if (answer.word == Word::job) {
    same(reply, 2, id_text(answer.id));
    EXPECT_EQ(reply.list.at(3).integer, answer.attempt) << doing_;
    EXPECT_EQ(element_text(reply.list.at(4).text), id_text(answer.id)) << doing_;
    same(reply, 5, answer.stage == 0 ? "" : std::to_string(answer.stage));
  } else if (answer.word == Word::again) {
    same(reply, 2, notes.at(answer.note));
  } else if (answer.word == Word::paused) {
    same(reply, 2, k_pause);
  }
  return answer;
}

void ScriptConformance::call_take(Small lease_id) {
  Answer answer = take_one(lease_id);
  if (!alone_) {
    return;
  }
  while (answer.word == Word::again) {
    answer = take_one(lease_id);
  }
  const auto taken = alone_->take({}, {}).value();
  ASSERT_EQ(taken.has_value(), answer.word == Word::job) << doing_;
  if (taken) {
    EXPECT_EQ(taken->receipt.deployment.str(), id_text(answer.id)) << doing_;
    EXPECT_EQ(taken->attempt, answer.attempt) << doing_;
    EXPECT_EQ(taken->checkpoint.commit, answer.stage == 0 ? "" : std::to_string(answer.stage));
  }
}

void ScriptConformance::call_look(Small lease_id) {
  doing_ = "look " + lease_text(lease_id);
  const Reply reply = call(look_, {lease_text(lease_id), "1000"});
  const Answer answer = model::look(state_, rules_, lease_id);
  same(reply, 0, answer.word == Word::lost ? "LOST" : "OK");
  same_marks(reply, answer);
  if (answer.word == Word::ok) {
    EXPECT_EQ(reply.list.at(3).integer, answer.jobs) << doing_;
  }
  if (alone_) {
    EXPECT_TRUE(alone_->look());
  }
}

void ScriptConformance::call_finish(Small lease_id) {
  const Small id = pick(model::k_ids);
  const Final final = chance(50) ? Final::builded : Final::failed;
  doing_ = "finish " + lease_text(lease_id) + " " + id_text(id) + " " + entry_text(final);
  const Reply reply = call(finish_, {lease_text(lease_id), id_text(id), entry_text(final)});
  const Answer answer = model::finish(state_, rules_, lease_id, id, final);
  same(reply, 0, answer.word == Word::lost ? "LOST" : "OK");
  if (answer.word == Word::ok) {
    same(reply, 1, entry_text(answer.final));
  }
  if (alone_) {
    const auto update = adapters::redis::read_entry(entry_text(final)).value().update;
    const auto ending = alone_->finish(receipt(id), update);
    EXPECT_EQ(ending ? adapters::redis::write_entry(*ending) : "", entry_text(answer.final))
        << doing_;
  }
}

void ScriptConformance::call_record(Small lease_id) {
  const Small id = pick(model::k_ids);
  const auto stage = static_cast<Small>(1 + pick(3));
  doing_ = "record " + lease_text(lease_id) + " " + id_text(id) + " " + std::to_string(stage);
  const Reply reply = call(record_, {lease_text(lease_id), id_text(id), std::to_string(stage)});
  const bool lost = model::record(state_, rules_, lease_id, id, stage).word == Word::lost;
  same(reply, 0, lost ? "LOST" : "OK");
  if (alone_) {
    domain::Checkpoint checkpoint;
    checkpoint.commit = std::to_string(stage);
    EXPECT_EQ(alone_->record(receipt(id), checkpoint).has_value(), !lost) << doing_;
  }
}

void ScriptConformance::call_requeue(Small lease_id) {
  const Small id = pick(model::k_ids);
  doing_ = "requeue " + lease_text(lease_id) + " " + id_text(id);
  const Reply reply = call(requeue_, {lease_text(lease_id), id_text(id)});
  const bool lost = model::requeue(state_, rules_, lease_id, id).word == Word::lost;
  same(reply, 0, lost ? "LOST" : "OK");
  if (alone_) {
    EXPECT_EQ(alone_->requeue(receipt(id)).has_value(), !lost) << doing_;
  }
}

Answer ScriptConformance::adopt_one(Small lease_id) {
  doing_ = "adopt " + lease_text(lease_id);
  const Reply reply = call(adopt_, {lease_text(lease_id)});
  const bool found = reply.list.at(0).text == "OUT";
  const Small preferred =
      found ? static_cast<Small>(reply.list.at(1).text.at(1) - '0') : Small(k_none);
  const Answer answer = model::adopt(state_, rules_, lease_id, preferred);
  same(reply, 0, answer.word == Word::lost ? "LOST" : answer.word == Word::out ? "OUT" : "NONE");
  if (answer.word == Word::out) {
    same(reply, 1, id_text(answer.id));
    same(reply, 2, entry_text(answer.final));
  }
  return answer;
}

/// Which end comes first is up to Redis, so the rules in C++ get all of them.
void ScriptConformance::call_adopt(Small lease_id) {
  Answer answer = adopt_one(lease_id);
  if (!alone_) {
    return;
  }
  std::map<std::string, std::string> wanted;
  for (; answer.word == Word::out; answer = adopt_one(lease_id)) {
    wanted[id_text(answer.id)] = entry_text(answer.final);
  }
  std::map<std::string, std::string> adopted;
  while (const auto one = alone_->adopt().value()) {
    adopted[one->receipt.deployment.str()] = adapters::redis::write_entry(one->ending);
  }
  EXPECT_EQ(adopted, wanted) << doing_;
}

void ScriptConformance::call_settle(Small lease_id) {
  const Small id = pick(model::k_ids);
  const bool later = chance(20);
  const bool bury = !later && chance(20);
  const std::string how = later ? "later" : bury ? "refused" : "delivered";
  doing_ = "settle " + lease_text(lease_id) + " " + id_text(id) + " " + how;
  const Reply reply = call(settle_, {lease_text(lease_id), id_text(id), how});
  const bool lost = model::settle(state_, lease_id, id, later, bury).word == Word::lost;
  same(reply, 0, lost ? "LOST" : "OK");
  if (alone_) {
    const auto delivery = later  ? ports::Delivery::later
                          : bury ? ports::Delivery::unknown
                                 : ports::Delivery::done;
    EXPECT_EQ(alone_->settle(receipt(id), delivery, {}).has_value(), !lost) << doing_;
  }
}

void ScriptConformance::call_cancel() {
  const Small id = pick(model::k_ids);
  doing_ = "cancel " + id_text(id);
  const Reply reply = call(cancel_, {id_text(id), "3600000"});
  const Answer answer = model::cancel(state_, rules_, id);
  static const std::map<Word, std::string> names{{Word::late, "LATE"},
                                                 {Word::reporting, "REPORTING"},
                                                 {Word::owned, "OWNED"},
                                                 {Word::removed, "REMOVED"},
                                                 {Word::noted, "NOTED"}};
  same(reply, 0, names.at(answer.word));
  if (answer.word == Word::late) {
    same(reply, 1, status_text(answer.status));
  }
  if (alone_) {
    static const std::map<Word, ports::CancelAnswer> answers{
        {Word::late, ports::CancelAnswer::late},
        {Word::reporting, ports::CancelAnswer::reporting},
        {Word::owned, ports::CancelAnswer::owned},
        {Word::removed, ports::CancelAnswer::removed},
        {Word::noted, ports::CancelAnswer::noted}};
    EXPECT_EQ(alone_->cancel(domain::DeploymentId(id_text(id))).value(), answers.at(answer.word))
        << doing_;
  }
}

void ScriptConformance::call_reap() {
  const bool all = chance(70);
  const Small lease_id = all ? k_none : pick(model::k_leases);
  doing_ = "reap " + (all ? "all" : lease_text(lease_id));
  const Reply reply = call(
      reap_, all ? std::vector<std::string>() : std::vector<std::string>{lease_text(lease_id)});
  const Answer answer = model::reap(state_, rules_, lease_id);
  EXPECT_EQ(reply.list.at(0).integer, answer.retired) << doing_;
  EXPECT_EQ(reply.list.at(1).integer, answer.jobs) << doing_;
  if (answer.jobs > 0) {
    // Several jobs go to the head in the order they were taken, which the model does not know.
    const Reply dump = call(dump_, {});
    std::vector<Small> actual;
    for (const Reply& element : dump.list.at(0).list) {
      const std::string text = element_text(element.text);
      actual.push_back(text == "garbage" ? k_garbage : static_cast<Small>(text.at(1) - '0'));
    }
    ASSERT_EQ(static_cast<std::size_t>(state_.queued), actual.size()) << doing_;
    ASSERT_TRUE(std::is_permutation(actual.begin(), actual.end(), state_.queue.begin())) << doing_;
    std::ranges::copy(actual, state_.queue.begin());
  }
}

void ScriptConformance::random_call() {
  const Small lease_id = alone_ ? Small{0} : pick(4);
  switch (pick(15)) {
    case 0:
    case 1:
    case 2:
      return call_push();
    case 3:
      return call_beat(lease_id);
    case 4:
    case 5:
    case 6:
      return call_take(lease_id);
    case 7:
      return call_look(lease_id);
    case 8:
      return call_finish(lease_id);
    case 9:
      return call_requeue(lease_id);
    case 10:
      return call_adopt(lease_id);
    case 11:
      return call_settle(lease_id);
    case 12:
      return call_cancel();
    case 13:
      return call_record(lease_id);
    default:
      break;
  }
  if (alone_) {
    return;  // It keeps its lease.
  }
  if (chance(50)) {
    return call_reap();
  }
  if (chance(20)) {
    return call_pause(lease_id);
  }
  if ((state_.workers & bit(lease_id)) != 0) {
    doing_ = "the lease of " + lease_text(lease_id) + " ends";
    raw({"ZADD", adapters::redis::own_key(queue_, "workers"), "1", lease_text(lease_id)});
    state_.expired = static_cast<std::uint8_t>(state_.expired | bit(lease_id));
  }
}

void ScriptConformance::compare() {
  const Picture actual = picture_of(call(dump_, {}));
  const Picture wanted = picture_of(state_, rules_);
  ASSERT_EQ(actual, wanted) << "after: " << doing_ << "\nRedis:\n"
                            << words(actual) << "model:\n"
                            << words(wanted);
  if (!alone_) {
    return;
  }
  Picture kept = wanted;
  std::erase_if(kept, [](const auto& one) { return !is_kept_by_rules(one.first); });
  const Picture held = picture_of(*alone_);
  ASSERT_EQ(held, kept) << "after: " << doing_ << "\nrules in C++:\n"
                        << words(held) << "model:\n"
                        << words(kept);
}

TEST_F(ScriptConformance, EveryCallDoesWhatTheModelAndTheRulesSay) {
  const auto seed =
      std::stoull(variable("CONFORMANCE_SEED", std::to_string(std::random_device()())));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const long calls = 5'000;
#else
  const long calls = std::stol(variable("CONFORMANCE_CALLS", "100000"));
#endif
  std::cout << calls << " calls, CONFORMANCE_SEED=" << seed << "\n";
  random_.seed(seed);
  long made = 0;
  for (bool alone = false; made < calls; alone = !alone) {
    clear();
    if (alone) {
      be_alone();
    }
    const long episode = 20 + pick(100);
    for (long i = 0; i < episode && made < calls; ++i, ++made) {
      random_call();
      compare();
      if (HasFailure()) {
        FAIL() << "call " << made << " of seed " << seed << ": " << doing_;
      }
    }
  }
}

/// Longer than what one call reads anew. Of what stands in front of a job, nothing may be of its
/// owner or service, but what waits for the build of its service.
TEST_F(ScriptConformance, NobodyIsOvertakenByHisOwnWhateverOthersDoToALongQueue) {
  const auto seed =
      std::stoull(variable("CONFORMANCE_SEED", std::to_string(std::random_device()())));
  std::cout << "CONFORMANCE_SEED=" << seed << "\n";
  random_.seed(seed);
  call(beat_, {"e", "3600000", "1", "", "", ""});
  std::deque<std::string> wanted;  // The queue.
  int number = 0;
  const auto push = [&](bool behind) {
    // A service may change its owner; mostly it does not.
    const int service = pick(60);
    const int owner = chance(5) ? pick(4) : service % 4;
    const std::string payload =
        fmt::format(R"({{"deploymentId":"d{}","serviceId":"s{}","gitProvider":{{"type":"GITHUB",)"
                    R"("githubAccount":{{"username":"o{}"}}}}}})",
                    number++, service, owner);
    raw({behind ? "RPUSH" : "LPUSH", queue_, payload});
    behind ? wanted.push_back(payload) : wanted.push_front(payload);
  };
  const auto field = [](const std::string& payload, const std::string& name) {
    const std::size_t from = payload.find(name);
    return payload.substr(from, payload.find_first_of(",}", from) - from);
  };
  std::map<std::string, std::string> built;  // Id → service.
  int left = 0;
  for (int round = 0; round < 500; ++round) {
    while (wanted.size() < 100 || chance(40)) {
      push(true);
    }
    switch (pick(8)) {
      case 0:
        push(false);
        break;
      case 1:
        raw({"LPOP", queue_});
        wanted.pop_front();
        break;
      case 2: {
        const auto gone = wanted.begin() + static_cast<std::ptrdiff_t>(pick(90));
        raw({"LREM", queue_, "1", *gone});
        wanted.erase(gone);
        break;
      }
      default: {
        const Reply reply = call(take_, {"e", "3", "", "", "64", "8"});
        const auto rest = call(dump_, {}).list.at(0).list;
        const auto gone = std::ranges::mismatch(wanted, rest, [](const auto& a, const auto& b) {
                            return a == b.text;
                          }).in1;
        ASSERT_NE(gone, wanted.end());
        const auto is_busy = [&](const std::string& payload) {
          return std::ranges::any_of(
              built, [&](const auto& one) { return one.second == field(payload, "\"serviceId"); });
        };
        for (auto before = wanted.begin(); before != gone; ++before) {
          ASSERT_NE(field(*before, "\"serviceId"), field(*gone, "\"serviceId"));
          if (field(*gone, "\"username") == field(*before, "\"username") && !is_busy(*before)) {
            // Only if it waits for another owner's job of its service.
            ASSERT_TRUE(std::any_of(wanted.begin(), before,
                                    [&](const std::string& older) {
                                      return field(older, "\"serviceId") ==
                                             field(*before, "\"serviceId");
                                    }))
                << *before << " before " << *gone;
          }
        }
        left += gone == wanted.begin() ? 0 : 1;
        if (reply.list.at(0).text == "JOB") {
          if (chance(70)) {
            call(finish_, {"e", reply.list.at(2).text, entry_text(Final::builded)});
          } else {
            built.emplace(reply.list.at(2).text, field(*gone, "\"serviceId"));
          }
        }
        wanted.erase(gone);
      }
    }
  }
  EXPECT_GT(left, 30);
}

TEST_F(ScriptConformance, TheScriptAndTheRulesNameTheSameOwner) {
  call(beat_, {"e", "3600000", "1", "", "", ""});
  const std::string github = R"("gitProvider":{"type":"GITHUB","githubAccount":)";
  const std::string custom = R"("gitProvider":{"type":"custom","username":"u","url":)";
  const std::vector<std::string> elements{
      R"("repositoryName":"octo/app")",
      R"("repositoryName":"octo/app","gitProvider":null)",
      R"("repositoryName":"octo/app",)" + github + R"({"username":"cat","accessToken":"t"}})",
      R"("repositoryName":"octo/app",)" + github + R"({"username":"c\u003ct","accessToken":"t"}})",
      R"("repositoryName":"octo/app",)" + github + R"(null})",
      R"("repositoryName":"octo/app",)" + github +
          R"(null},"environmentVariables":[{"key":"username","value":"\"username\":\"x\""}])",
      R"("repositoryName":"octo/app",)" + github + R"({"username":"","accessToken":"t"}})",
      R"("repositoryName":"githubAccount",)" + github + R"({"username":"cat","accessToken":"t"}})",
      R"("repositoryName" : "octo/deep/app",)" + github + R"({"accessToken":"t","username":"c"}})",
      R"("repositoryName":"team/app","gitProvider":{"type":"custom","url":"https://git.x/y","username":"u","password":"p"})",
      R"("repositoryName":"team/app","gitProvider":{"type":"CUSTOM","username":"u","url":"https://git.x/y"})",
      R"("repositoryName":"team/app","gitProvider":{"type":"CUSTOM","username":"u","url":""})",
      R"("repositoryName":"team/app","gitProvider":{"type":"CUSTOM","username":"","url":"https://git.x/y"})",
      R"("repositoryName":"team/sub/app",)" + custom + R"("https://git.x/y"})",
      R"("repositoryName":"app",)" + custom + R"("https://git.x/y"})",
      R"("repositoryName":"octo/app",)" + custom + R"("github"})",
      R"("repositoryName":"app","gitProvider":{"type":"GITHUB"})",
      R"("repositoryName":"/app")",
      R"("repositoryName":"")",
      R"("repositoryName":"octo/")",
      R"("repositoryName":"octo/app","environmentVariables":[{"key":"repositoryName","value":"\"repositoryName\":\"evil/x\""}])"};
  int number = 0;
  std::set<std::string> owners;
  for (const std::string& element : elements) {
    const std::string text =
        fmt::format(R"({{"deploymentId":"d{}","serviceId":"s{}",)", number, number) + element + "}";
    raw({"RPUSH", queue_, text});
    same(call(take_, {"e", "3", "", "", "2", "8"}), 0, "JOB");
    const auto request = domain::parse_job(text).request;
    ASSERT_TRUE(request) << request.error().message;
    const auto whose =
        connection_->call({"HGET", own_key(queue_, "whose"), "d" + std::to_string(number)}, {});
    const std::string owner = adapters::redis::owner_name(*request);
    // The first time it is a newcomer's.
    const bool is_new = owners.insert(owner).second && !owner.empty();
    EXPECT_EQ(whose->text, (is_new ? "+" : "") + owner) << text;
    ++number;
  }
  EXPECT_EQ(owners.size(), 8u) << "nobody among them";
}

TEST_F(ScriptConformance, WhatIsTooLargeIsDroppedWithoutItsContent) {
  call(beat_, {"e", "60000", "1", "", "", ""});
  raw({"RPUSH", queue_, R"({"deploymentId":"d1","x":")" + std::string(1u << 20, 'S') + "\"}"});
  const Reply reply = call(take_, {"e", "3"});
  same(reply, 0, "AGAIN");
  const auto dead =
      connection_->call({"LRANGE", adapters::redis::own_key(queue_, "dead"), "0", "-1"}, {});
  ASSERT_EQ(dead->list.size(), 1u);
  EXPECT_TRUE(dead->list[0].text.contains("too large")) << dead->list[0].text;
  EXPECT_FALSE(dead->list[0].text.contains("SSS"));
}

TEST_F(ScriptConformance, AllKeysShareTheQueuesSlot) {
  EXPECT_EQ(adapters::redis::own_key("q", "own"), "{q}:own");
  EXPECT_EQ(adapters::redis::own_key("a{b}c", "own"), "a{b}c:own");
}

}  // namespace
}  // namespace builder
