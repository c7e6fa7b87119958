#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/queue/queue_text.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

namespace builder::app::cli {

namespace {

/// The list holds 1,000: what is longer is an id.
constexpr std::size_t k_longest_number = 4;

std::optional<std::size_t> number_in(const std::string& text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return text.size() <= k_longest_number && error == std::errc() && end == text.data() + text.size()
             ? std::optional(number)
             : std::nullopt;
}

/// The letters that are meant; nothing, and said why, when one names none.
std::optional<std::vector<ports::DeadLetter>> chosen(const std::vector<ports::DeadLetter>& letters,
                                                     const std::vector<std::string>& names) {
  std::vector<ports::DeadLetter> found;
  for (const std::string& name : names) {
    const std::size_t before = found.size();
    if (const auto number = number_in(name)) {
      if (*number >= 1 && *number <= letters.size()) {
        found.push_back(letters[*number - 1]);
      }
    } else {
      std::ranges::copy_if(letters, std::back_inserter(found),
                           [&](const ports::DeadLetter& one) { return one.deployment == name; });
    }
    if (found.size() == before) {
      complain("no dead letter has the number or the deployment " + name + "; nothing is dropped");
      return std::nullopt;
    }
  }
  return found;
}

struct DropOptions {
  std::vector<std::string> names;
  bool all = false;
  bool json = false;
};

Exit drop(const DropOptions& options, const QueueAccess& access) {
  const auto letters = access.queue.dead(access.stop);
  if (!letters) {
    return failed(letters.error());
  }
  const auto meant = options.all ? std::optional(*letters) : chosen(*letters, options.names);
  if (!meant) {
    return Exit::failed;
  }
  const auto dropped = access.queue.drop(*meant, access.stop);
  if (!dropped) {
    return failed(dropped.error());
  }
  options.json ? fmt::print("{}", dumped({{"dropped", *dropped}}))
               : fmt::print("dropped {}\n", counted(*dropped, "dead letter", "dead letters"));
  return Exit::ok;
}

}  // namespace

void add_dead(CommandLine& line) {
  const auto json = std::make_shared<bool>(false);
  CLI::App& dead = line.verb(
      nullptr, "dead", "Show what was dropped, and why; the content was not kept",
      "  deployra-builder dead             the newest first\n"
      "  deployra-builder dead drop 1 2    forget the first two\n"
      "\nNothing can be sent again from here: only the platform has the content of a job. Deploy\n"
      "the service again there.",
      [json] {
        return with_queue([&](const QueueAccess& access) {
          const auto letters = access.queue.dead(access.stop);
          if (!letters) {
            return failed(letters.error());
          }
          fmt::print("{}", *json ? dumped(dead_json(*letters))
                                 : dead_text(terminal_of(STDOUT_FILENO), *letters));
          return Exit::ok;
        });
      });
  dead.add_flag("--json", *json, "An array of objects");
  const auto options = std::make_shared<DropOptions>();
  CLI::App& verb = line.verb(
      &dead, "drop", "Forget dead letters, by number or deployment",
      "  deployra-builder dead drop d0exampleexample0001   all of one deployment\n"
      "  deployra-builder dead drop --all                  the whole list",
      [options] {
        if (options->all != options->names.empty()) {
          complain("name dead letters by number or deployment, or say --all");
          return Exit::usage;
        }
        return with_queue([&](const QueueAccess& access) { return drop(*options, access); });
      });
  verb.add_option("ENTRY", options->names,
                  "Its number in `dead`, or a deployment: all of its entries")
      ->type_name("");
  verb.add_flag("--all", options->all, "Every one that is there now");
  verb.add_flag("--json", options->json, "Print how many as an object");
}

}  // namespace builder::app::cli
