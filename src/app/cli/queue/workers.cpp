#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/queue/queue_text.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <memory>

namespace builder::app::cli {

void add_workers(CommandLine& line) {
  const auto json = std::make_shared<bool>(false);
  line.verb(nullptr, "workers",
            "Show who works on the queue: version, engine, builds, lease, pauses",
            "  deployra-builder workers          names that pause and resume take\n"
            "  deployra-builder workers --json   for programs",
            [json] {
              return with_queue([&](const QueueAccess& access) {
                const auto look = access.queue.look(0, access.stop);
                if (!look) {
                  return failed(look.error());
                }
                fmt::print("{}", *json ? dumped(workers_json(*look))
                                       : workers_text(terminal_of(STDOUT_FILENO), *look));
                return Exit::ok;
              });
            })
      .add_flag("--json", *json, "One object");
}

}  // namespace builder::app::cli
