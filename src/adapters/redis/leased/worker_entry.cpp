#include "adapters/redis/leased/worker_entry.hpp"

#include "base/json.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

namespace builder::adapters::redis {

namespace {

using nlohmann::json;
using Ordered = nlohmann::ordered_json;

/// More would make an entry large; `own` has the ids of all.
constexpr std::size_t k_most_told = 100;

std::int64_t number_of(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::chrono::seconds age_of(const json& object, const char* field) {
  // Years at most: it is added to other times.
  return std::chrono::seconds(std::clamp<std::int64_t>(number_of(object, field), 0, 1'000'000'000));
}

std::string dumped(const Ordered& object) {
  return object.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

}  // namespace

std::string write_worker(const ports::WorkerIdentity& identity,
                         const ports::WorkerActivity& activity) {
  auto running = Ordered::array();
  for (const ports::RunningJob& job : activity.running) {
    if (running.size() == k_most_told) {
      break;
    }
    Ordered entry{{"deployment", job.deployment.str()},
                  {"attempt", job.attempt},
                  {"age", job.age.count()},
                  {"phase", job.phase}};
    if (!job.step.empty()) {
      entry["step"] = job.step;
    }
    running.push_back(std::move(entry));
  }
  Ordered entry{{"host", identity.host},       {"pid", identity.pid},
                {"version", identity.version}, {"engine", identity.engine},
                {"slots", identity.slots},     {"age", activity.age.count()}};
  if (!identity.history.empty()) {
    entry["history"] = identity.history;
    entry["history_proof"] = identity.history_proof;
  } else if (!identity.no_history.empty()) {
    entry["no_history"] = identity.no_history;
  }
  entry["running"] = std::move(running);
  return dumped(entry);
}

std::optional<WorkerNote> read_worker(std::string_view value) {
  std::int64_t written = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), written);
  if (error != std::errc() || end == value.data() + value.size() || *end != ' ') {
    return std::nullopt;
  }
  const json entry = parse_json(value.substr(static_cast<std::size_t>(end - value.data()) + 1));
  if (!entry.is_object()) {
    return std::nullopt;
  }
  WorkerNote note{.written = ports::QueueTime(std::chrono::milliseconds(written)),
                  .identity = {.host = text_of(entry, "host"),
                               .pid = static_cast<int>(number_of(entry, "pid")),
                               .version = text_of(entry, "version"),
                               .engine = text_of(entry, "engine"),
                               .slots = static_cast<std::size_t>(
                                   std::max<std::int64_t>(0, number_of(entry, "slots"))),
                               .history = text_of(entry, "history"),
                               .history_proof = text_of(entry, "history_proof"),
                               .no_history = text_of(entry, "no_history")},
                  .activity = {.age = age_of(entry, "age"), .running = {}}};
  const auto running = entry.find("running");
  if (running == entry.end() || !running->is_array()) {
    return note;
  }
  for (const json& job : *running) {
    if (job.is_object()) {
      note.activity.running.push_back(
          {.deployment = domain::DeploymentId(text_of(job, "deployment")),
           .attempt = static_cast<int>(number_of(job, "attempt")),
           .phase = text_of(job, "phase"),
           .step = text_of(job, "step"),
           .age = age_of(job, "age")});
    }
  }
  return note;
}

std::string write_pause(const ports::Pause& pause) {
  return dumped(
      {{"note", pause.note}, {"by", pause.by}, {"since", pause.since.time_since_epoch().count()}});
}

ports::Pause read_pause(std::string_view text) {
  const json entry = parse_json(text);
  if (!entry.is_object()) {
    return {};
  }
  return {.note = text_of(entry, "note"),
          .by = text_of(entry, "by"),
          .since = ports::QueueTime(std::chrono::milliseconds(
              std::clamp<std::int64_t>(number_of(entry, "since"), 0, 100'000'000'000'000)))};
}

}  // namespace builder::adapters::redis
