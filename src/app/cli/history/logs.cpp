#include "adapters/remote_history/wire.hpp"
#include "app/cli/history/access.hpp"
#include "app/cli/history/history_text.hpp"
#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_text.hpp"
#include "base/stop.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_page = 500;
constexpr std::chrono::milliseconds k_look_again{500};
/// A worker that restarts, or is busy with others, is asked again for this long.
constexpr std::chrono::seconds k_patience{30};

struct Options {
  std::string id;
  bool follow = false;
  bool timestamps = false;
  bool json = false;
  std::optional<std::size_t> last;
  std::optional<int> attempt;
};

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
}

/// Prints a log as far as it goes.
class Printer {
 public:
  Printer(const Options& options, const FoundRun& found, const std::stop_token& stop)
      : options_(options),
        run_(found.details.run),
        reader_(*found.source->reader),
        stop_(stop),
        next_(options.last
                  ? found.details.rows - std::min<std::uint64_t>(found.details.rows, *options.last)
                  : 0) {}

  /// False: nobody reads it, or Ctrl+C.
  Result<bool> print_new() {
    for (;;) {
      BUILDER_TRY_ASSIGN(const auto rows, reader_.log(run_.id, next_, k_page));
      for (const ports::KeptRow& row : rows) {
        if (!print(text_of(row))) {
          return false;
        }
        next_ = row.number + 1;
      }
      if (rows.empty() || stop_.stop_requested()) {
        return std::fflush(stdout) == 0 && !stop_.stop_requested();
      }
    }
  }

 private:
  std::string text_of(const ports::KeptRow& row) const {
    if (!options_.json) {
      return log_row_text(terminal_, row, options_.timestamps);
    }
    nlohmann::ordered_json json{{"deployment", run_.start.deployment.str()},
                                {"attempt", run_.start.attempt},
                                {"worker", run_.start.worker}};
    json.update(adapters::remote_history::row_json(row));
    return dumped_ascii(json, -1);
  }

  const Options& options_;
  const ports::KeptRun& run_;
  ports::HistoryReader& reader_;
  const std::stop_token& stop_;
  const Terminal terminal_ = terminal_of(STDOUT_FILENO);
  std::uint64_t next_;
};

/// Whether the run still goes on.
Result<bool> goes_on(const FoundRun& found) {
  const ports::KeptRun& run = found.details.run;
  BUILDER_TRY_ASSIGN(const auto all, found.source->reader->find(run.start.deployment));
  const auto now = std::ranges::find_if(
      all, [&](const ports::KeptRunDetails& each) { return each.run.id == run.id; });
  return now != all.end() && !now->run.ended && now->run.end.outcome == ports::k_running;
}

/// Until the run has ended, nobody reads any more, or Ctrl+C.
Result<> follow(const FoundRun& found, Printer& printer, const std::stop_token& stop) {
  bool is_last = false;
  for (auto answered = std::chrono::steady_clock::now();;) {
    const auto more = goes_on(found);
    // What was written before the end was seen is printed behind it.
    const auto printed = more ? printer.print_new() : std::unexpected(more.error());
    if (printed && !*printed) {
      return {};
    }
    const auto now = std::chrono::steady_clock::now();
    if (printed) {
      answered = now;
      is_last = !*more;
    } else if (!printed.error().is_transient() || now - answered > k_patience) {
      return std::unexpected(printed.error());
    }
    if (is_last || !sleep_for(k_look_again, stop)) {
      return {};
    }
  }
}

bool is_open(const FoundRun& found) {
  return found.details.run.end.outcome == ports::k_running;
}

/// The run that is meant; complains when there is none.
const FoundRun* chosen(const Options& options, const std::vector<FoundRun>& found) {
  const auto fits = [&](const FoundRun& each) {
    return !options.attempt || each.details.run.start.attempt == *options.attempt;
  };
  // An end without a build comes last, and says nothing.
  const auto has_log = [](const FoundRun& each) { return each.details.rows > 0; };
  auto run = std::ranges::find_if(
      found, [&](const FoundRun& each) { return fits(each) && (has_log(each) || is_open(each)); });
  run = run == found.end() ? std::ranges::find_if(found, fits) : run;
  if (run != found.end()) {
    if (!has_log(*run) && !is_open(*run)) {
      complain("this run has no log");
    }
    return &*run;
  }
  std::vector<int> kept;
  for (const FoundRun& each : found) {
    kept.push_back(each.details.run.start.attempt);
  }
  complain(fmt::format("attempt {} of {} is not kept; these are: {}", *options.attempt, options.id,
                       fmt::join(kept, ", ")));
  return nullptr;
}

/// What the queue knows of a deployment that no history has.
void complain_of_none(const domain::DeploymentId& id, const HistoryAccess& access) {
  const auto look = access.queue.find(id, access.stop);
  const std::string state = look && look->known() ? state_of(*look) : std::string();
  complain(state == "queued" || state == "set aside"
               ? "deployment " + id.str() + " is " + state + ": it has no log yet"
           : state.empty() || state == "unknown"
               ? "no history has deployment " + id.str()
               : "no history has deployment " + id.str() + ", which is " + state +
                     ": the worker that ran it is gone, shows no history, or keeps it no longer "
                     "(HISTORY_KEEP)");
}

Exit logs(const Options& options, const HistoryAccess& access) {
  const auto id = read_id(options.id);
  if (!id) {
    return Exit::usage;
  }
  const auto found = access.histories.find(*id);
  complain_of(access.histories.missing());
  if (found.empty()) {
    complain_of_none(*id, access);
    return Exit::failed;
  }
  const FoundRun* const run = chosen(options, found);
  if (run == nullptr) {
    return Exit::failed;
  }
  if (run->details.rows_lost > 0) {
    complain(fmt::format("{} of {} rows of this log were not kept", run->details.rows_lost,
                         run->details.rows));
  }
  Printer printer(options, *run, access.stop);
  const auto printed = options.follow ? follow(*run, printer, access.stop) : [&]() -> Result<> {
    BUILDER_TRY(printer.print_new());
    return {};
  }();
  if (!printed) {
    return failed(Error(printed.error()).with_context(run->source->name));
  }
  return Exit::ok;
}

}  // namespace

void add_logs(CommandLine& line) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = line.verb(
      nullptr, "logs", "Print the log of a deployment, from whatever worker ran it",
      "  deployra-builder logs d0exampleexample0001          of its last attempt\n"
      "  deployra-builder logs -f d0exampleexample0001       also what comes, until it has ended\n"
      "  deployra-builder logs -n 50 --timestamps d0exampleexample0001",
      [options] {
        return with_histories([&](const HistoryAccess& access) { return logs(*options, access); });
      });
  verb.add_option("ID", options->id, "The deployment's id")->required()->type_name("");
  verb.add_flag("-f,--follow", options->follow, "Go on until it has ended, or Ctrl+C");
  verb.add_option("-n,--lines", options->last, "Only the last so many rows")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{0}, std::size_t{1'000'000'000}));
  verb.add_option("--attempt", options->attempt, "Of this attempt; default: the last one")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000));
  verb.add_flag("-t,--timestamps", options->timestamps, "Begin each row with its time, in UTC");
  verb.add_flag("--json", options->json, "One object per row");
}

}  // namespace builder::app::cli
