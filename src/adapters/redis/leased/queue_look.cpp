#include "adapters/redis/leased/queue_look.hpp"

#include "adapters/redis/leased/owner_name.hpp"
#include "adapters/redis/leased/worker_entry.hpp"
#include "base/json.hpp"
#include "domain/deployment_request.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <set>
#include <tuple>

namespace builder::adapters::redis {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

/// What `take` drops without reading it.
constexpr std::size_t k_largest_element = 1u << 20;

template <class Number>
Number read_number(std::string_view text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// Of now: nothing is older than Redis's time, nor younger than now.
milliseconds age_of(ports::QueueTime since, ports::QueueTime now) {
  return std::clamp(now - since, milliseconds(0), now.time_since_epoch());
}

struct Owner {
  std::string lease_id;
  std::string service;
};

Owner owner_of(const std::string& value) {
  const std::size_t blank = value.find(' ');
  return {value.substr(0, blank), blank == std::string::npos ? "" : value.substr(blank + 1)};
}

std::map<std::string, WorkerNote> notes_of(const Books& books) {
  std::map<std::string, WorkerNote> notes;
  for (const auto& [lease_id, value] : books.about) {
    if (auto note = read_worker(value)) {
      notes.emplace(lease_id, *std::move(note));
    }
  }
  return notes;
}

}  // namespace

Pairs pairs_of(const Reply& reply) {
  Pairs pairs;
  for (std::size_t i = 0; i + 1 < reply.list.size(); i += 2) {
    pairs.emplace_back(reply.list[i].text, reply.list[i + 1].text);
  }
  return pairs;
}

std::string value_of(const Pairs& pairs, const std::string& name) {
  const auto found = std::ranges::find(pairs, name, &Pairs::value_type::first);
  return found == pairs.end() ? std::string() : found->second;
}

ports::QueueTime time_of(const Reply& reply) {
  if (reply.list.size() != 2) {
    return {};
  }
  return ports::QueueTime(milliseconds(read_number<std::int64_t>(reply.list[0].text) * 1000 +
                                       read_number<std::int64_t>(reply.list[1].text) / 1000));
}

ports::WaitingJob read_element(const std::string& element, std::size_t position) {
  ports::WaitingJob job{.position = position, .bytes = element.size()};
  if (element.size() > k_largest_element) {
    return job;
  }
  domain::ParsedJob parsed = domain::parse_job(element);
  if (parsed.deployment_id) {
    job.deployment = parsed.deployment_id->str();
  }
  if (parsed.service_id) {
    job.service = parsed.service_id->str();
  }
  if (parsed.request) {
    job.readable = true;
    job.owner = owner_name(*parsed.request);
    job.repository = std::move(parsed.request->repository_name);
    job.branch = std::move(parsed.request->branch);
    job.commit = std::move(parsed.request->commit_sha);
  }
  return job;
}

ports::DeadLetter read_letter(const std::string& entry) {
  ports::DeadLetter letter{.entry = entry};
  const json object = parse_json(entry);
  if (!object.is_object()) {
    return letter;
  }
  const auto number = [&](const char* field) {
    const auto found = object.find(field);
    // Lua writes large numbers as 1.7e+12 where they fit no other form.
    return found == object.end() || !found->is_number()
               ? 0
               : static_cast<std::int64_t>(std::clamp(found->get<double>(), 0.0, 1e14));
  };
  letter.reason = text_of(object, "reason");
  letter.deployment = text_of(object, "id");
  letter.sha1 = text_of(object, "sha1");
  letter.bytes = static_cast<std::size_t>(number("length"));
  letter.time = ports::QueueTime(milliseconds(number("time")));
  return letter;
}

ports::UndeliveredEnd read_end(const std::string& deployment, const std::string& value,
                               ports::QueueTime now) {
  ports::UndeliveredEnd end{.deployment = deployment};
  const std::size_t first = value.find(' ');
  const std::size_t second = first == std::string::npos ? first : value.find(' ', first + 1);
  if (second == std::string::npos) {
    return end;
  }
  end.sender = value.substr(0, first);
  if (end.sender == "-") {
    end.sender.clear();
  }
  const auto since = read_number<std::int64_t>(value.substr(first + 1, second - first - 1));
  end.age = age_of(ports::QueueTime(milliseconds(std::max<std::int64_t>(since, 0))), now);
  const json entry = parse_json(std::string_view(value).substr(second + 1));
  if (entry.is_object()) {
    end.status = text_of(entry, "status");
    end.reason = text_of(entry, "reason");
  }
  return end;
}

std::vector<ports::BuiltJob> running_of(const Books& books) {
  const auto notes = notes_of(books);
  std::vector<ports::BuiltJob> jobs;
  for (const auto& [deployment, value] : books.own) {
    Owner owner = owner_of(value);
    ports::BuiltJob job{.deployment = deployment,
                        .service = std::move(owner.service),
                        .lease_id = std::move(owner.lease_id)};
    job.attempt = std::max(1, read_number<int>(value_of(books.attempts, deployment)));
    job.superseded_by = value_of(books.newer, deployment);
    if (const auto note = notes.find(job.lease_id); note != notes.end()) {
      const WorkerNote& said = note->second;
      job.worker = said.identity.process();
      const auto told = std::ranges::find_if(
          said.activity.running,
          [&](const ports::RunningJob& running) { return running.deployment.str() == deployment; });
      if (told != said.activity.running.end()) {
        job.age = told->age + age_of(said.written, books.now);
        job.phase = told->phase;
        job.step = told->step;
      }
    }
    jobs.push_back(std::move(job));
  }
  std::ranges::sort(jobs, [](const ports::BuiltJob& a, const ports::BuiltJob& b) {
    // The longest first; whose age nobody says, last.
    return std::tuple(a.age ? -a.age->count() : 1, a.deployment) <
           std::tuple(b.age ? -b.age->count() : 1, b.deployment);
  });
  return jobs;
}

std::vector<ports::QueueWorker> workers_of(const Books& books,
                                           const std::vector<ports::UndeliveredEnd>& ends) {
  const auto notes = notes_of(books);
  std::vector<ports::QueueWorker> workers;
  for (const auto& [lease_id, until] : books.workers) {
    ports::QueueWorker worker{.lease_id = lease_id};
    // A score is a double: "1764437000123", or "1.764437e+12" of an old server.
    worker.lease_left =
        milliseconds(static_cast<std::int64_t>(std::clamp(read_number<double>(until), 0.0, 1e14))) -
        books.now.time_since_epoch();
    for (const auto& [deployment, value] : books.own) {
      if (owner_of(value).lease_id == lease_id) {
        worker.running.push_back(deployment);
      }
    }
    worker.delivering = static_cast<std::size_t>(
        std::ranges::count(ends, lease_id, &ports::UndeliveredEnd::sender));
    std::vector<std::string> names{"*"};
    if (const auto note = notes.find(lease_id); note != notes.end()) {
      const WorkerNote& said = note->second;
      worker.identity = said.identity;
      worker.said = age_of(said.written, books.now);
      worker.age = said.activity.age + *worker.said;
      names.push_back(said.identity.host);
      names.push_back(said.identity.process());
    } else {
      names.clear();  // It does not know of pauses.
    }
    for (const std::string& name : names) {
      if (const std::string entry = value_of(books.pauses, name); !entry.empty() && !worker.pause) {
        worker.pause = read_pause(entry);
      }
    }
    workers.push_back(std::move(worker));
  }
  std::ranges::sort(workers, [](const ports::QueueWorker& a, const ports::QueueWorker& b) {
    const auto key = [](const ports::QueueWorker& worker) {
      return std::tuple(!worker.identity, worker.identity ? worker.identity->host : "",
                        worker.identity ? worker.identity->pid : 0, worker.lease_id);
    };
    return key(a) < key(b);
  });
  return workers;
}

std::vector<ports::NamedPause> pauses_of(const Books& books) {
  std::vector<ports::NamedPause> pauses;
  for (const auto& [name, entry] : books.pauses) {
    pauses.push_back({name, read_pause(entry)});
  }
  std::ranges::sort(pauses, {}, &ports::NamedPause::whose);
  return pauses;
}

void put_in_turn(std::vector<ports::WaitingJob>& waiting,
                 const std::vector<ports::BuiltJob>& running, const Books& books) {
  domain::Turns turns;
  for (const auto& [owner, number] : books.turns) {
    turns[owner].last = static_cast<std::int64_t>(read_number<double>(number));
  }
  std::deque<domain::CountedBuild> builds;  // The longest first.
  for (const ports::BuiltJob& job : running) {
    const std::string whose = value_of(books.whose, job.deployment);
    const bool newcomer = whose.starts_with('+');  // take.lua
    builds.push_back({.owner = whose.substr(newcomer ? 1 : 0), .newcomer = newcomer});
    domain::count_build(turns, builds.back(), 1);
  }
  std::vector<domain::InLine> line;
  for (const ports::WaitingJob& job : waiting) {
    line.push_back(
        {.owner = job.owner, .service = job.service, .readable = !job.deployment.empty()});
  }
  const auto passed = read_number<int>(value_of(books.whose, ":passed"));  // take.lua
  std::vector<ports::WaitingJob> ordered;
  for (const std::size_t place :
       domain::expected_order(std::move(line), std::move(turns), passed, std::move(builds))) {
    ordered.push_back(std::move(waiting[place]));
    ordered.back().position = ordered.size();
  }
  waiting = std::move(ordered);
}

std::vector<std::string> owners_of(const std::vector<ports::WaitingJob>& waiting) {
  std::set<std::string> owners{""};
  for (const ports::WaitingJob& job : waiting) {
    owners.insert(job.owner);
  }
  return {owners.begin(), owners.end()};
}

std::vector<ports::WaitingJob> set_aside_of(const Pairs& wait, const Books& books) {
  std::vector<ports::WaitingJob> jobs;
  for (const auto& [service, element] : wait) {
    ports::WaitingJob job = read_element(element, 0);
    job.service = service;
    job.attempts = read_number<int>(value_of(books.attempts, job.deployment));
    const auto builder = std::ranges::find_if(
        books.own, [&](const auto& one) { return owner_of(one.second).service == service; });
    job.behind = builder == books.own.end() ? std::string() : builder->first;
    jobs.push_back(std::move(job));
  }
  std::ranges::sort(jobs, {}, &ports::WaitingJob::service);
  return jobs;
}

}  // namespace builder::adapters::redis
