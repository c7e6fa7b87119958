#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"

#include <fmt/core.h>

#include <memory>
#include <string_view>

namespace builder::app::cli {

namespace {

using domain::CancelAnswer;

std::string heard_by(const ports::CancelReport& report) {
  return counted(static_cast<std::size_t>(report.listeners), "worker heard it", "workers heard it");
}

/// Where nothing says what became of it.
Exit only_published(const std::string& id, const ports::CancelReport& report) {
  if (report.listeners == 0) {
    complain("no worker listens, and a message is not kept: " + id + " is not cancelled");
    return Exit::failed;
  }
  fmt::print(
      "the cancel of {} was published: {}. What became of it cannot be seen without scripts\n", id,
      heard_by(report));
  return Exit::ok;
}

std::string_view word_of(CancelAnswer answer) {
  switch (answer) {
    case CancelAnswer::removed:
      return "removed";
    case CancelAnswer::owned:
      return "stopping";
    case CancelAnswer::reporting:
      return "end replaced";
    case CancelAnswer::late:
      return "too late";
    case CancelAnswer::noted:
      return "unknown";
  }
  return {};
}

Exit print_json(const std::string& id, const ports::CancelReport& report) {
  const auto& answer = report.answer;
  fmt::print("{}", dumped({{"deployment", id},
                           {"answer", answer ? Json(word_of(*answer)) : Json(nullptr)},
                           {"status", report.status.empty() ? Json(nullptr) : Json(report.status)},
                           {"listeners", report.listeners}}));
  const bool counts = answer ? *answer != CancelAnswer::late && *answer != CancelAnswer::noted
                             : report.listeners > 0;
  return counts ? Exit::ok : Exit::failed;
}

struct Options {
  std::string id;
  bool json = false;
};

Exit cancel(const Options& options, const QueueAccess& access) {
  const auto deployment = read_id(options.id);
  if (!deployment) {
    return Exit::usage;
  }
  const auto done = access.queue.cancel(*deployment, access.stop);
  if (!done) {
    return failed(done.error());
  }
  const std::string& id = deployment->str();
  if (options.json) {
    return print_json(id, *done);
  }
  if (!done->answer) {
    return only_published(id, *done);
  }
  switch (*done->answer) {
    case CancelAnswer::removed:
      fmt::print("{} was waiting and is removed; a worker tells the platform CANCELLED\n", id);
      return Exit::ok;
    case CancelAnswer::owned:
      fmt::print("{} is being built and is told to stop ({})\n", id, heard_by(*done));
      return Exit::ok;
    case CancelAnswer::reporting:
      fmt::print("{} had ended, but the platform was not told yet: it will be told CANCELLED\n",
                 id);
      return Exit::ok;
    case CancelAnswer::late:
      complain(fmt::format("{} had ended before{}: nothing is left to cancel", id,
                           done->status.empty() ? "" : " as " + done->status));
      return Exit::failed;
    case CancelAnswer::noted:
      break;
  }
  complain(id + " is not known here; if it is queued within 7 days, it ends as CANCELLED");
  return Exit::failed;
}

}  // namespace

void add_cancel(CommandLine& line) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = line.verb(
      nullptr, "cancel", "Cancel a deployment, as the platform does",
      "  deployra-builder cancel d0exampleexample0001   says what it did: removed, stopped, "
      "too late",
      [options] {
        return with_queue([&](const QueueAccess& access) { return cancel(*options, access); });
      });
  verb.add_option("ID", options->id, "The deployment's id")->required()->type_name("");
  verb.add_flag("--json", options->json, "Say what it did as an object");
}

}  // namespace builder::app::cli
