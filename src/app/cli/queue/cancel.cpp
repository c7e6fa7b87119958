#include "app/cli/queue/access.hpp"

#include <fmt/core.h>

#include <memory>

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

Exit cancel(const std::string& text, const QueueAccess& access) {
  const auto deployment = read_id(text);
  if (!deployment) {
    return Exit::usage;
  }
  const auto done = access.queue.cancel(*deployment, access.stop);
  if (!done) {
    return failed(done.error());
  }
  const std::string& id = deployment->str();
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
  const auto id = std::make_shared<std::string>();
  line.verb(nullptr, "cancel", "Cancel a deployment, as the platform does",
            "  deployra-builder cancel d0exampleexample0001   says what it did: removed, stopped, "
            "too late",
            [id] {
              return with_queue([&](const QueueAccess& access) { return cancel(*id, access); });
            })
      .add_option("ID", *id, "The deployment's id")
      ->required()
      ->type_name("");
}

}  // namespace builder::app::cli
