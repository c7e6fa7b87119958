#include "app/cli/queue/queue_json.hpp"

#include "app/cli/queue/queue_text.hpp"
#include "base/iso_time.hpp"

namespace builder::app::cli {

namespace {

Json time(ports::QueueTime time) {
  return time.time_since_epoch().count() <= 0 ? Json(nullptr) : Json(iso_time(time));
}

Json time(const std::optional<ports::QueueTime>& some) {
  return some ? time(*some) : Json(nullptr);
}

Json seconds(std::chrono::milliseconds age) {
  return static_cast<double>(age.count()) / 1000.0;
}

Json seconds(const std::optional<std::chrono::milliseconds>& age) {
  return age ? seconds(*age) : Json(nullptr);
}

/// null where there is none.
Json text(const std::string& value) {
  return value.empty() ? Json(nullptr) : Json(value);
}

template <class Items, class Make>
Json list(const Items& items, Make&& make) {
  auto json = Json::array();
  for (const auto& item : items) {
    json.push_back(make(item));
  }
  return json;
}

Json waiting(const ports::WaitingJob& job) {
  Json json{{"deployment", text(job.deployment)},
            {"service", text(job.service)},
            {"repository", text(job.repository)},
            {"branch", text(job.branch)},
            {"commit", text(job.commit)},
            {"owner", text(job.owner)},
            {"bytes", job.bytes},
            {"attempts", job.attempts}};
  if (job.position > 0) {
    json["position"] = job.position;
  } else {
    json["behind"] = text(job.behind);
  }
  return json;
}

Json running(const ports::BuiltJob& job) {
  return {{"deployment", job.deployment}, {"service", text(job.service)},
          {"worker", text(job.worker)},   {"lease_id", job.lease_id},
          {"attempt", job.attempt},       {"age_seconds", seconds(job.age)},
          {"phase", text(job.phase)},     {"step", text(job.step)},
          {"cancelled", job.cancelled},   {"superseded_by", text(job.superseded_by)}};
}

Json end(const ports::UndeliveredEnd& end) {
  return {{"deployment", end.deployment},
          {"status", end.status},
          {"reason", text(end.reason)},
          {"age_seconds", seconds(end.age)},
          {"sender", text(end.sender)}};
}

Json pause(const ports::Pause& pause) {
  return {{"note", pause.note}, {"by", pause.by}, {"since", time(pause.since)}};
}

Json letter(const ports::DeadLetter& letter) {
  return {{"deployment", text(letter.deployment)},
          {"reason", letter.reason},
          {"time", time(letter.time)},
          {"bytes", letter.bytes},
          {"sha1", letter.sha1}};
}

Json pauses(const ports::QueueLook& look) {
  return list(look.pauses, [](const ports::NamedPause& named) {
    Json json{{"worker", named.whose}};
    json.update(pause(named.pause));
    return json;
  });
}

}  // namespace

Json queue_json(const ports::QueueLook& look) {
  return {{"time", time(look.now)},
          {"waiting", look.waiting},
          {"queue", list(look.first, waiting)},
          {"set_aside", list(look.set_aside, waiting)},
          {"running", list(look.running, running)},
          {"undelivered", look.undelivered},
          {"ends", list(look.ends, end)},
          {"dead", look.dead},
          {"workers", look.workers.size()},
          {"pauses", pauses(look)},
          {"refused", text(look.refused)}};
}

Json workers_json(const ports::QueueLook& look) {
  auto workers = list(look.workers, [&](const ports::QueueWorker& worker) {
    const ports::WorkerIdentity identity = worker.identity.value_or(ports::WorkerIdentity{});
    std::vector<ports::BuiltJob> jobs;
    for (const ports::BuiltJob& job : look.running) {
      if (job.lease_id == worker.lease_id) {
        jobs.push_back(job);
      }
    }
    return Json{{"lease_id", worker.lease_id},
                {"lease_left_seconds", seconds(worker.lease_left)},
                {"host", text(identity.host)},
                {"pid", worker.identity ? Json(identity.pid) : Json(nullptr)},
                {"version", text(identity.version)},
                {"engine", text(identity.engine)},
                {"slots", worker.identity ? Json(identity.slots) : Json(nullptr)},
                {"age_seconds", seconds(worker.age)},
                {"said_seconds_ago", seconds(worker.said)},
                {"running", list(jobs, running)},
                {"delivering", worker.delivering},
                {"pause", worker.pause ? pause(*worker.pause) : Json(nullptr)}};
  });
  return {{"time", time(look.now)},
          {"workers", std::move(workers)},
          {"pauses", pauses(look)},
          {"refused", text(look.refused)}};
}

Json dead_json(const std::vector<ports::DeadLetter>& letters) {
  return list(letters, letter);
}

Json deployment_json(const std::string& deployment, const ports::DeploymentLook& look) {
  const domain::Checkpoint& checkpoint = look.checkpoint;
  return {{"deployment", deployment},
          {"time", time(look.now)},
          {"state", state_of(look)},
          {"waiting", look.waiting ? waiting(*look.waiting) : Json(nullptr)},
          {"running", look.running ? running(*look.running) : Json(nullptr)},
          {"attempts", look.attempts},
          {"checkpoint",
           {{"commit", text(checkpoint.commit)},
            {"image_id", text(checkpoint.image_id)},
            {"repository", text(checkpoint.repository)},
            {"digest", text(checkpoint.digest)},
            {"promoted", checkpoint.promoted}}},
          {"cancelled", time(look.cancelled)},
          {"superseded_by", text(look.superseded_by)},
          {"status", text(look.status)},
          {"ended", time(look.ended)},
          {"undelivered", look.undelivered ? end(*look.undelivered) : Json(nullptr)},
          {"dead", list(look.dead, letter)}};
}

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace builder::app::cli
