#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/queue/queue_text.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <memory>

namespace builder::app::cli {

namespace {

struct Options {
  std::string id;
  bool json = false;
};

Exit show(const Options& options, const QueueAccess& access) {
  const auto id = read_id(options.id);
  if (!id) {
    return Exit::usage;
  }
  const auto look = access.queue.find(*id, access.stop);
  if (!look) {
    return failed(look.error());
  }
  if (options.json) {
    fmt::print("{}", dumped(deployment_json(id->str(), *look)));
  } else if (look->known()) {
    fmt::print("{}", deployment_text(terminal_of(STDOUT_FILENO), id->str(), *look));
  }
  if (!look->known()) {
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
      nullptr, "show", "Show everything the queue knows of one deployment",
      "  deployra-builder show d0exampleexample0001        where is it, how far, how did it end?\n"
      "  deployra-builder show d0exampleexample0001 --json  the same for programs",
      [options] {
        return with_queue([&](const QueueAccess& access) { return show(*options, access); });
      });
  verb.add_option("ID", options->id, "The deployment's id")->required()->type_name("");
  verb.add_flag("--json", options->json, "One object");
}

}  // namespace builder::app::cli
