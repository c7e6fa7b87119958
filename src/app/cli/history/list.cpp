#include "adapters/remote_history/wire.hpp"
#include "app/cli/history/access.hpp"
#include "app/cli/history/history_text.hpp"
#include "base/iso_time.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <chrono>
#include <memory>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_most = 1'000;

struct Options {
  ports::RunFilter filter;
  std::string since;
  bool json = false;
};

ports::HistoryTime now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::string json_of(const std::vector<ports::KeptRun>& runs, const Histories& histories) {
  auto array = nlohmann::ordered_json::array();
  for (const ports::KeptRun& run : runs) {
    array.push_back(adapters::remote_history::run_json(run));
  }
  return dumped_ascii({{"time", iso_time(now())},
                       {"runs", std::move(array)},
                       {"missing", missing_json(histories.missing())}});
}

Exit list(const Options& options, const HistoryAccess& access) {
  const auto runs = access.histories.list(options.filter);
  complain_of(access.histories.missing());
  if (options.json) {
    fmt::print("{}", json_of(runs, access.histories));
  } else if (access.histories.answered()) {
    fmt::print("{}", list_text(terminal_of(STDOUT_FILENO), runs, now()));
  }
  if (!access.histories.answered()) {
    complain("no history can be read: HISTORY_DIR holds none, and no worker has shown its own");
    return Exit::failed;
  }
  return Exit::ok;
}

}  // namespace

void add_list(CommandLine& line) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = line.verb(
      nullptr, "list", "Show what was built, by all workers of the queue, the newest first",
      "  deployra-builder list                                  the last 20\n"
      "  deployra-builder list --outcome failed --since 2h      what failed lately?\n"
      "  deployra-builder list --service s0exampleexample0001 --json   for programs",
      [options]() -> Exit {
        if (!options->since.empty()) {
          options->filter.since = parse_since(options->since, now());
          if (!options->filter.since) {
            complain(
                "--since takes 90s, 30m, 2h, 7d, or a date or time in UTC: 2026-11-29T17:20:00");
            return Exit::usage;
          }
        }
        return with_histories([&](const HistoryAccess& access) { return list(*options, access); });
      });
  verb.add_option("--service", options->filter.service, "Only of this service")
      ->type_name("ID")
      ->check(is_something);
  verb.add_option("--outcome", options->filter.outcome, "Only with this outcome")
      ->check(CLI::IsMember({"builded", "failed", "cancelled", "superseded", "requeued", "gone",
                             "refused", "blocked", "lost", "running", "interrupted"}))
      ->type_name("WORD");
  verb.add_option("--since", options->since, "Only what began since then: 90s, 2h, 7d, or a time")
      ->type_name("TIME")
      ->check(is_something);
  verb.add_option("-n,--limit", options->filter.most, "Show at most N")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, k_most))
      ->capture_default_str();
  verb.add_flag("--json", options->json, "One object");
}

}  // namespace builder::app::cli
