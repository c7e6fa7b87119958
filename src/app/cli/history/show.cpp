#include "adapters/http/client.hpp"
#include "adapters/remote_history/wire.hpp"
#include "app/cli/history/access.hpp"
#include "app/cli/history/history_text.hpp"
#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/queue/queue_text.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <memory>

namespace builder::app::cli {

namespace {

/// Rows of a failed run's log.
constexpr std::uint64_t k_tail = 20;

struct Options {
  std::string id;
  bool json = false;
};

/// The end of the log of a run that did not end well; nothing where it cannot be had.
std::vector<ports::KeptRow> tail_of(const FoundRun& found) {
  const ports::KeptRunDetails& details = found.details;
  if (!details.run.ended || details.run.end.category.empty()) {
    return {};
  }
  const std::uint64_t from = details.rows - std::min(details.rows, k_tail);
  return found.source->reader->log(details.run.id, from, k_tail)
      .value_or(std::vector<ports::KeptRow>());
}

Json histories_json(const std::vector<FoundRun>& found) {
  auto runs = Json::array();
  for (const FoundRun& each : found) {
    Json run = adapters::remote_history::details_json(each.details);
    run["log_end"] = Json::array();
    for (const ports::KeptRow& row : tail_of(each)) {
      run["log_end"].push_back(adapters::remote_history::row_json(row));
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

std::string histories_text(const Terminal& terminal, const std::vector<FoundRun>& found,
                           ports::HistoryTime now) {
  if (found.empty()) {
    return {};
  }
  std::string text = run_text(terminal, found.front().details, tail_of(found.front()), now);
  std::vector<ports::KeptRun> earlier;
  for (const FoundRun& each : found) {
    earlier.push_back(each.details.run);
  }
  earlier.erase(earlier.begin());
  return earlier.empty() ? text : text + "\nEarlier runs\n" + list_text(terminal, earlier, now);
}

Exit show(const Options& options, const HistoryAccess& access) {
  const auto id = read_id(options.id);
  if (!id) {
    return Exit::usage;
  }
  const auto look = access.queue.find(*id, access.stop);
  const std::vector<FoundRun> found = access.histories.find(*id);
  complain_of(access.histories.missing());
  if (!look && found.empty()) {
    return failed(look.error());
  }
  if (!look) {
    failed(look.error());
  }
  const ports::DeploymentLook known = look.value_or(ports::DeploymentLook{});
  const bool is_known = known.known() || !found.empty();
  if (options.json) {
    Json json = deployment_json(id->str(), known);
    json["history"] = histories_json(found);
    json["missing"] = missing_json(access.histories.missing());
    fmt::print("{}", dumped_ascii(json));
  } else if (is_known) {
    const Terminal terminal = terminal_of(STDOUT_FILENO);
    const auto now =
        std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    fmt::print("{}{}", deployment_text(terminal, id->str(), known),
               histories_text(terminal, found, now));
  }
  if (!is_known) {
    complain("deployment " + id->str() +
             " is not known here: it was never queued at this Redis, or ended more than 180 days "
             "ago");
    return Exit::failed;
  }
  return Exit::ok;
}

}  // namespace

void add_show(CommandLine& line) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = line.verb(
      nullptr, "show", "Show everything the queue and the histories know of one deployment",
      "  deployra-builder show d0exampleexample0001        where is it, how far, how did it end?\n"
      "  deployra-builder show d0exampleexample0001 --json  the same for programs",
      [options] {
        return with_histories([&](const HistoryAccess& access) { return show(*options, access); },
                              Ask::if_told);
      });
  verb.add_option("ID", options->id, "The deployment's id")->required()->type_name("");
  verb.add_flag("--json", options->json, "One object");
}

}  // namespace builder::app::cli
