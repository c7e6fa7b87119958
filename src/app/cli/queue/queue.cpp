#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/queue/queue_text.hpp"
#include "app/cli/queue/watch.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <memory>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_shown_by_default = 20;
/// Elements of a MB each would still fit.
constexpr std::size_t k_most_shown = 1'000;

struct Options {
  bool watch = false;
  bool json = false;
  std::size_t limit = k_shown_by_default;
};

Exit show_queue(const Options& options, const QueueAccess& access) {
  const auto look = access.queue.look(options.limit, access.stop);
  if (!look) {
    return failed(look.error());
  }
  fmt::print("{}", options.json ? dumped(queue_json(*look))
                                : queue_text(terminal_of(STDOUT_FILENO), *look));
  return Exit::ok;
}

Exit watch_queue(const Options& options, const QueueAccess& access) {
  if (options.json) {
    return repeat_lines(access.stop, [&]() -> Result<std::string> {
      BUILDER_TRY_ASSIGN(const ports::QueueLook look,
                         access.queue.look(options.limit, access.stop));
      return dumped(queue_json(look), -1);
    });
  }
  return redraw(access.stop, [&](const Terminal& terminal) -> Result<std::string> {
    BUILDER_TRY_ASSIGN(const ports::QueueLook look, access.queue.look(options.limit, access.stop));
    return queue_text(terminal, look);
  });
}

}  // namespace

void add_queue(CommandLine& line) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = line.verb(
      nullptr, "queue", "Show what waits, what runs where, and what is not delivered yet",
      "  deployra-builder queue                     one look\n"
      "  deployra-builder queue --watch             a look every second, until Ctrl+C\n"
      "  deployra-builder queue --json | jq .waiting   for programs",
      [options]() -> Exit {
        if (options->watch && !options->json && !can_redraw(STDOUT_FILENO)) {
          complain(
              "--watch draws on a terminal, and this is none; --watch --json prints a line each "
              "second");
          return Exit::usage;
        }
        return with_queue([&](const QueueAccess& access) {
          return options->watch ? watch_queue(*options, access) : show_queue(*options, access);
        });
      });
  verb.add_flag("-w,--watch", options->watch, "Look again every second, until Ctrl+C");
  verb.add_flag("--json", options->json, "One object; with --watch one per line");
  verb.add_option("-n,--limit", options->limit,
                  "Show at most so many of the jobs that wait; default: 20")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{0}, k_most_shown));
}

}  // namespace builder::app::cli
