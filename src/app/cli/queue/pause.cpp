#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/queue/queue_text.hpp"
#include "base/text.hpp"

#include <fmt/core.h>

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

namespace builder::app::cli {

namespace {

constexpr const char* k_all = "*";
constexpr std::size_t k_shortest_lease = 6;

struct Options {
  std::string worker;
  bool all = false;
  std::string note;
  bool json = false;
};

/// Who types this: `anna@ops-1`.
std::string somebody() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const passwd* user = ::getpwuid(::getuid());
  return (user == nullptr ? std::to_string(::getuid()) : std::string(user->pw_name)) + "@" +
         host.data();
}

bool is_named(const ports::QueueWorker& worker, const std::string& name) {
  return worker.identity &&
         (name == k_all || name == worker.identity->host || name == worker.identity->process());
}

/// The name that the worker knows: its host, its process, or that of a lease that is named by its
/// beginning. Empty: none is meant, and it was said.
std::string known_name(const std::string& text, const ports::QueueLook& look) {
  std::set<std::string> found;
  for (const ports::QueueWorker& worker : look.workers) {
    if (is_named(worker, text)) {
      return text;
    }
    if (text.size() >= k_shortest_lease && worker.lease_id.starts_with(text)) {
      if (!worker.identity) {
        complain("the worker of lease " + text +
                 " is of a version that knows no pauses; send it SIGUSR2");
        return {};
      }
      found.insert(worker.identity->process());
    }
  }
  if (found.size() == 1) {
    return *found.begin();
  }
  std::string names;
  for (const ports::QueueWorker& worker : look.workers) {
    names += (names.empty() ? "" : ", ") + name_of(worker);
  }
  complain(fmt::format("no worker {} is here; {}", printable_line(text),
                       names.empty() ? "none is" : "there are " + names));
  return {};
}

Exit pause(const Options& options, const QueueAccess& access) {
  const auto look = access.queue.look(0, access.stop);
  if (!look) {
    return failed(look.error());
  }
  if (!look->refused.empty()) {
    complain("workers cannot be paused here: " + look->refused);
    return Exit::failed;
  }
  const std::string name = options.all ? k_all : known_name(options.worker, *look);
  if (name.empty()) {
    return Exit::failed;
  }
  if (const auto done = access.queue.pause(
          name, {.note = printable_line(options.note, 200), .by = somebody(), .since = {}},
          access.stop);
      !done) {
    return failed(done.error());
  }
  std::size_t workers = 0;
  std::size_t builds = 0;
  std::size_t old = 0;
  for (const ports::QueueWorker& worker : look->workers) {
    old += options.all && !worker.identity ? 1u : 0u;
    if (is_named(worker, name)) {
      ++workers;
      builds += worker.running.size();
    }
  }
  if (options.json) {
    fmt::print("{}", dumped({{"paused", name}, {"workers", workers}, {"running", builds}}));
  } else {
    fmt::print(
        "{} {} no jobs from now on; {}. Resume: deployra-builder resume {}\n",
        options.all ? "all workers (" + counted(workers, "is here", "are here") + ")" : name,
        options.all ? "take" : "takes",
        builds == 0 ? "nothing runs there" : counted(builds, "build goes on", "builds go on"),
        options.all ? "--all" : name);
  }
  if (old > 0) {
    complain(counted(old, "worker is", "workers are") +
             " of a version that knows no pauses: send SIGUSR2 there");
  }
  return Exit::ok;
}

/// `others`: the pauses that still hold.
std::string resumed_json(const std::string& name, bool was_paused,
                         const std::vector<std::string>& others) {
  return dumped({{"resumed", name}, {"was_paused", was_paused}, {"still_paused_by", others}});
}

Exit resume(const Options& options, const QueueAccess& access) {
  const auto look = access.queue.look(0, access.stop);
  if (!look) {
    return failed(look.error());
  }
  if (options.all) {
    for (const ports::NamedPause& pause : look->pauses) {
      if (const auto done = access.queue.resume(pause.whose, access.stop); !done) {
        return failed(done.error());
      }
    }
    if (options.json) {
      fmt::print("{}", resumed_json(k_all, !look->pauses.empty(), {}));
    } else {
      fmt::print("{}\n",
                 look->pauses.empty() ? "no worker was paused" : "all workers take jobs again");
    }
    return Exit::ok;
  }
  // A pause may outlive its worker: its name needs nobody who has it.
  const bool is_pause = std::ranges::find(look->pauses, options.worker,
                                          &ports::NamedPause::whose) != look->pauses.end();
  const std::string name = is_pause ? options.worker : known_name(options.worker, *look);
  if (name.empty()) {
    return Exit::failed;
  }
  const auto done = access.queue.resume(name, access.stop);
  if (!done) {
    return failed(done.error());
  }
  std::vector<std::string> others;
  for (const ports::NamedPause& pause : look->pauses) {
    const bool holds = pause.whose == k_all || name.starts_with(pause.whose + ":");
    if (holds && pause.whose != name) {
      others.push_back(pause.whose == k_all ? "--all" : pause.whose);
    }
  }
  if (options.json) {
    fmt::print("{}", resumed_json(name, *done, others));
    return others.empty() ? Exit::ok : Exit::failed;
  }
  if (!others.empty()) {
    complain(fmt::format("{} is still paused: deployra-builder resume {} ends that", name,
                         others.front()));
    return Exit::failed;
  }
  fmt::print("{} {}\n", name, *done ? "takes jobs again" : "was not paused");
  return Exit::ok;
}

void add(CommandLine& line, const std::string& name, const std::string& what,
         const std::string& examples, bool has_note,
         Exit (*work)(const Options&, const QueueAccess&)) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = line.verb(nullptr, name, what, examples, [options, work] {
    if (options->all != options->worker.empty()) {
      complain("either one worker (deployra-builder workers lists them), or --all");
      return Exit::usage;
    }
    return with_queue([&](const QueueAccess& access) { return work(*options, access); });
  });
  verb.add_option("WORKER", options->worker, "Its host, host:pid, or the beginning of its lease id")
      ->type_name("");
  verb.add_flag("--all", options->all, "Every worker of the queue, also those that come");
  verb.add_flag("--json", options->json, "Say what it did as an object");
  if (has_note) {
    verb.add_option("--note", options->note, "Why, for those who ask; no secrets")
        ->type_name("NOTE");
  }
}

}  // namespace

void add_pause(CommandLine& line) {
  add(line, "pause", "Let workers take no more jobs; what runs goes on",
      "  deployra-builder pause ops-1 --note \"new disk\"   all workers of one host\n"
      "  deployra-builder pause --all                      the whole queue stands still",
      true, pause);
}

void add_resume(CommandLine& line) {
  add(line, "resume", "Let paused workers take jobs again",
      "  deployra-builder resume ops-1    this one\n"
      "  deployra-builder resume --all    every pause is over",
      false, resume);
}

}  // namespace builder::app::cli
