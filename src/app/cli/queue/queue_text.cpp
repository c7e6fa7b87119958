#include "app/cli/queue/queue_text.hpp"

#include "base/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_shown_commit = 12;
constexpr const char* k_unknown = "-";

std::string or_unknown(std::string text) {
  return text.empty() ? k_unknown : std::move(text);
}

/// octo/hello@main, octo/hello@0123456789ab
std::string source_of(const ports::WaitingJob& job) {
  if (job.deployment.empty()) {
    return fmt::format("no job ({} bytes), workers drop it", job.bytes);
  }
  if (job.repository.empty()) {
    return k_unknown;
  }
  return name_cell(job.repository) + "@" +
         (job.commit.empty() ? name_cell(job.branch)
                             : printable_line(job.commit).substr(0, k_shown_commit));
}

std::string doing(const ports::BuiltJob& job) {
  std::string text = name_cell(job.phase);
  if (!job.step.empty()) {
    text += ": " + printable_line(job.step);
  }
  if (job.cancelled) {
    return text.empty() ? "stops, cancelled" : "stops, cancelled; " + text;
  }
  if (!job.superseded_by.empty()) {
    const std::string why = "stops for newer " + name_cell(job.superseded_by);
    return text.empty() ? why : why + "; " + text;
  }
  return or_unknown(std::move(text));
}

std::string short_lease(const std::string& lease_id) {
  return "lease " + printable_line(lease_id).substr(0, 8);
}

std::string worker_of(const ports::BuiltJob& job) {
  return job.worker.empty() ? short_lease(job.lease_id) : name_cell(job.worker);
}

std::string optional_age(const std::optional<std::chrono::milliseconds>& age) {
  return age ? short_age(*age) : k_unknown;
}

std::string why_ended(const ports::UndeliveredEnd& end) {
  return end.reason == "user"         ? end.status + " (cancelled)"
         : end.reason == "superseded" ? end.status + " (superseded)"
         : end.reason == "attempts"   ? end.status + " (too many attempts)"
                                      : name_cell(end.status);
}

std::string section(const Terminal& terminal, const TableRows& rows) {
  return rows.size() < 2 ? std::string() : "\n" + table(terminal, rows);
}

std::string more(std::size_t shown_rows, std::size_t all) {
  return shown_rows < all ? fmt::format("… and {} more\n", all - shown_rows) : std::string();
}

std::string heading(const ports::QueueLook& look) {
  std::string text = fmt::format("{} waiting", look.waiting);
  if (!look.refused.empty()) {
    return text;
  }
  if (!look.set_aside.empty()) {
    text += fmt::format(", {} set aside", look.set_aside.size());
  }
  text += fmt::format(", {} running on {}", look.running.size(),
                      counted(look.workers.size(), "worker"));
  if (look.undelivered > 0) {
    text += ", " + counted(look.undelivered, "end") + " not delivered";
  }
  return text;
}

std::string pause_line(const ports::NamedPause& pause) {
  return fmt::format("paused: {}, {}", pause.whose == "*" ? "all workers" : name_cell(pause.whose),
                     ports::in_words(pause.pause));
}

std::string ago(ports::QueueTime time, ports::QueueTime now) {
  return fmt::format("{} ({} ago)", clock_time(time),
                     short_age(std::max(now - time, std::chrono::milliseconds(0))));
}

}  // namespace

std::string short_age(std::chrono::milliseconds age) {
  const auto seconds =
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(age).count());
  if (seconds < 60) {
    return fmt::format("{}s", seconds);
  }
  if (seconds < 3600) {
    return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  }
  if (seconds < 86'400) {
    return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
  }
  return fmt::format("{}d{}h", seconds / 86'400, seconds / 3600 % 24);
}

std::string clock_time(ports::QueueTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string name_of(const ports::QueueWorker& worker) {
  return worker.identity ? name_cell(worker.identity->process()) : short_lease(worker.lease_id);
}

std::string queue_text(const Terminal& terminal, const ports::QueueLook& look) {
  std::string text = styled(terminal, Style::bold, fitted(heading(look), terminal.columns)) + "\n";
  for (const ports::NamedPause& pause : look.pauses) {
    text += styled(terminal, Style::warning, fitted(pause_line(pause), terminal.columns)) + "\n";
  }
  TableRows running{{"RUNNING", "SERVICE", "WORKER", "FOR", "TRY", "DOES"}};
  for (const ports::BuiltJob& job : look.running) {
    running.push_back({name_cell(job.deployment), or_unknown(name_cell(job.service)),
                       worker_of(job), optional_age(job.age), std::to_string(job.attempt),
                       doing(job)});
  }
  text += section(terminal, running);
  TableRows waiting{{"PLACE", "WAITING", "SERVICE", "LOST", "SOURCE"}};
  for (const ports::WaitingJob& job : look.first) {
    waiting.push_back({std::to_string(job.position), or_unknown(name_cell(job.deployment)),
                       or_unknown(name_cell(job.service)), std::to_string(job.attempts),
                       source_of(job)});
  }
  text += section(terminal, waiting);
  text += more(look.first.size(), look.waiting);
  TableRows set_aside{{"SET ASIDE", "SERVICE", "BEHIND", "SOURCE"}};
  for (const ports::WaitingJob& job : look.set_aside) {
    set_aside.push_back({name_cell(job.deployment), name_cell(job.service),
                         or_unknown(name_cell(job.behind)), source_of(job)});
  }
  text += section(terminal, set_aside);
  TableRows ends{{"NOT DELIVERED", "STATUS", "FOR", "SENDER"}};
  constexpr std::size_t k_shown_ends = 20;
  for (const ports::UndeliveredEnd& end : look.ends) {
    if (ends.size() > k_shown_ends) {
      break;
    }
    ends.push_back({name_cell(end.deployment), why_ended(end), short_age(end.age),
                    end.sender.empty() ? "nobody yet" : short_lease(end.sender)});
  }
  text += section(terminal, ends);
  text += more(ends.size() - 1, look.undelivered);
  if (look.dead > 0) {
    text += "\n" +
            fitted(counted(look.dead, "dead letter") + ": deployra-builder dead shows why",
                   terminal.columns) +
            "\n";
  }
  if (!look.refused.empty()) {
    text += "\nNo more than this is shown: " + printable_line(look.refused) + "\n";
  }
  return text;
}

std::string workers_text(const Terminal& terminal, const ports::QueueLook& look) {
  if (!look.refused.empty()) {
    return "Workers are not shown: " + printable_line(look.refused) + "\n";
  }
  std::string text;
  if (look.workers.empty()) {
    text += "No worker has joined this queue. (Workers of guarantee C are not seen.)\n";
  }
  TableRows rows{{"WORKER", "VERSION", "UP", "LEASE", "BUILDS", "ENGINE", "DOES"}};
  for (const ports::QueueWorker& worker : look.workers) {
    std::string does;
    for (const ports::BuiltJob& job : look.running) {
      if (job.lease_id == worker.lease_id) {
        does += (does.empty() ? "" : ", ") + name_cell(job.deployment) +
                (job.phase.empty() ? "" : " (" + name_cell(job.phase) + ")");
      }
    }
    if (worker.delivering > 0) {
      does += (does.empty() ? "" : ", ") +
              fmt::format("delivers {}", counted(worker.delivering, "end"));
    }
    if (worker.pause) {
      does = "paused " + ports::in_words(*worker.pause) + (does.empty() ? "" : "; " + does);
    }
    const auto& identity = worker.identity;
    rows.push_back({name_of(worker), identity ? or_unknown(name_cell(identity->version)) : "older",
                    optional_age(worker.age),
                    worker.lease_left.count() > 0 ? short_age(worker.lease_left)
                                                  : "over " + short_age(-worker.lease_left),
                    identity ? fmt::format("{}/{}", worker.running.size(), identity->slots)
                             : std::to_string(worker.running.size()),
                    identity ? or_unknown(name_cell(identity->engine)) : k_unknown,
                    does.empty() ? "waits for jobs" : does});
  }
  if (rows.size() > 1) {
    text += table(terminal, rows);
  }
  for (const ports::NamedPause& pause : look.pauses) {
    const bool is_here = std::ranges::any_of(look.workers, [&](const ports::QueueWorker& worker) {
      return pause.whose == "*" || (worker.identity && (pause.whose == worker.identity->host ||
                                                        pause.whose == worker.identity->process()));
    });
    if (!is_here || look.workers.empty()) {
      text += fitted(pause_line(pause) + (pause.whose == "*" ? "" : " (no such worker is here)"),
                     terminal.columns) +
              "\n";
    }
  }
  return text;
}

std::string dead_text(const Terminal& terminal, const std::vector<ports::DeadLetter>& letters) {
  if (letters.empty()) {
    return "There are no dead letters.\n";
  }
  TableRows rows{{"NO", "DEPLOYMENT", "WHEN", "BYTES", "REASON"}};
  for (const ports::DeadLetter& letter : letters) {
    rows.push_back(
        {std::to_string(rows.size()), or_unknown(name_cell(letter.deployment)),
         letter.time.time_since_epoch().count() > 0 ? clock_time(letter.time) : k_unknown,
         std::to_string(letter.bytes), or_unknown(name_cell(letter.reason))});
  }
  return table(terminal, rows);
}

std::string state_of(const ports::DeploymentLook& look) {
  if (look.running) {
    return "running";
  }
  if (look.waiting) {
    return look.waiting->position > 0 ? "queued" : "set aside";
  }
  if (look.undelivered) {
    return "ended, not delivered";
  }
  if (!look.status.empty() || look.ended) {
    return "ended";
  }
  if (look.cancelled) {
    return "cancelled";
  }
  return look.dead.empty() ? "unknown" : "dropped";
}

std::string deployment_text(const Terminal& terminal, const std::string& deployment,
                            const ports::DeploymentLook& look) {
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += styled(terminal, Style::dim, fmt::format("{:<13}", label)) + value + "\n";
  };
  line("Deployment", styled(terminal, Style::bold, deployment));
  line("State", state_of(look));
  if (look.waiting) {
    const ports::WaitingJob& job = *look.waiting;
    if (job.position > 0) {
      line("Place", fmt::format("{} of {}", job.position, look.waiting_in_all));
    } else {
      line("Behind", or_unknown(name_cell(job.behind)) + ", the older build of its service");
    }
    line("Service", or_unknown(name_cell(job.service)));
    line("Source", source_of(job));
  }
  if (look.running) {
    const ports::BuiltJob& job = *look.running;
    line("Service", or_unknown(name_cell(job.service)));
    line("Worker", job.worker.empty()
                       ? short_lease(job.lease_id) + " (of a version that says no more)"
                       : name_cell(job.worker) + ", " + short_lease(job.lease_id));
    line("Since", job.age ? short_age(*job.age) : "not said");
    line("Does", doing(job));
  }
  if (look.attempts > 0) {
    line("Attempts", std::to_string(look.attempts));
  }
  if (look.cancelled) {
    line("Cancelled", ago(*look.cancelled, look.now));
  }
  if (!look.superseded_by.empty()) {
    line("Superseded", "by " + name_cell(look.superseded_by));
  }
  if (!look.status.empty()) {
    line("Status", name_cell(look.status));
  }
  if (look.ended) {
    line("Ended", ago(*look.ended, look.now));
  }
  if (look.undelivered) {
    line("Undelivered", fmt::format("{} for {}, {}", why_ended(*look.undelivered),
                                    short_age(look.undelivered->age),
                                    look.undelivered->sender.empty()
                                        ? "nobody sends it yet"
                                        : "sent by " + short_lease(look.undelivered->sender)));
  }
  const domain::Checkpoint& checkpoint = look.checkpoint;
  if (!checkpoint.commit.empty()) {
    line("Commit", checkpoint.commit);
  }
  if (!checkpoint.image_id.empty()) {
    line("Built", checkpoint.image_id);
  }
  if (!checkpoint.digest.empty()) {
    line("Pushed", name_cell(checkpoint.repository) + "@" + checkpoint.digest);
    line("Latest", checkpoint.promoted ? "moved" : "not moved yet");
  }
  for (const ports::DeadLetter& letter : look.dead) {
    line("Dead letter",
         fmt::format("{}, {}", name_cell(letter.reason), ago(letter.time, look.now)));
  }
  return text;
}

}  // namespace builder::app::cli
