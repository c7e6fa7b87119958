#include "app/cli/history/access.hpp"

#include "adapters/remote_history/remote_history.hpp"
#include "app/cli/queue/queue_text.hpp"
#include "app/cli/settings.hpp"
#include "app/compose/history_parts.hpp"
#include "app/compose/queue_parts.hpp"
#include "app/process/interrupt.hpp"
#include "base/text.hpp"
#include "domain/operator_line.hpp"

#include <utility>

namespace builder::app::cli {

namespace {

/// Why a worker cannot be asked; empty: it can.
std::string why_not_asked(const ports::QueueWorker& worker, const Config& config) {
  if (!worker.identity ||
      (worker.identity->history.empty() && worker.identity->no_history.empty())) {
    return "it is of a version without a history";
  }
  if (worker.identity->history.empty()) {
    return "it shows no history: " + worker.identity->no_history;
  }
  if (config.history_token.empty()) {
    return "it is not asked: HISTORY_TOKEN is not set here";
  }
  return is_proven(config.history_token, worker.identity->history, worker.identity->history_proof)
             ? ""
             : "it is not asked: its address is not signed with the HISTORY_TOKEN that is set here";
}

}  // namespace

Histories open_histories(const Config& config, adapters::http::Client& client,
                         const Result<ports::QueueLook>& look, const std::stop_token& stop) {
  std::vector<HistorySource> sources;
  std::vector<MissingHistory> missing;
  auto here = open_local_history(config);
  const bool is_here = here.has_value();
  if (here) {
    sources.push_back({.name = config.history.folder, .reader = *std::move(here), .is_here = true});
  } else if (here.error().kind != ErrorKind::not_found) {
    missing.push_back({config.history.folder, domain::operator_line(here.error())});
  }
  if (!look) {
    missing.push_back({"the queue's workers", domain::operator_line(look.error())});
  } else if (!look->refused.empty()) {
    missing.push_back({"the queue's workers", look->refused});
  }
  for (const ports::QueueWorker& worker :
       look ? look->workers : std::vector<ports::QueueWorker>()) {
    const std::string name = name_of(worker);
    std::string why_not = why_not_asked(worker, config);
    if (why_not.empty()) {
      sources.push_back(
          {.name = name + " (" + worker.identity->history + ")",
           .reader = adapters::remote_history::make_remote_history(
               client, {.url = worker.identity->history, .token = config.history_token}, stop)});
    } else if (!is_here || !worker.identity || worker.identity->host != host_name()) {
      // Those of this machine write the history that is read here.
      missing.push_back({name, std::move(why_not)});
    }
  }
  return {std::move(sources), std::move(missing)};
}

Exit with_histories(const std::function<Exit(const HistoryAccess&)>& work, Ask ask) {
  const LoadedConfig loaded = load_config();
  if (const auto errors = loaded.errors_of({Concern::queue, Concern::history}); !errors.empty()) {
    print_errors(errors);
    return Exit::usage;
  }
  const Interrupt interrupt;
  const auto queue = make_queue_admin(loaded.config);
  const auto client = adapters::http::make_client();
  const bool is_told = ask == Ask::all || !loaded.config.history_token.empty();
  Histories histories = open_histories(
      loaded.config, *client,
      is_told ? queue->look(0, interrupt.token()) : Result<ports::QueueLook>(), interrupt.token());
  const Exit done = work({histories, *queue, interrupt.token()});
  return interrupt.token().stop_requested() ? Exit::aborted : done;
}

void complain_of(const std::vector<MissingHistory>& missing) {
  for (const MissingHistory& each : missing) {
    complain(printable_line(each.whose + ": " + each.why));
  }
}

}  // namespace builder::app::cli
