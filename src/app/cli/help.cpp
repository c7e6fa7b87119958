#include "app/cli/command_line.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace builder::app::cli {

void add_version(CommandLine& line) {
  const auto json = std::make_shared<bool>(false);
  line.verb(nullptr, "version", "Print the version",
            "  deployra-builder version          as --version does\n"
            "  deployra-builder version --json   for programs",
            [json] {
              *json ? fmt::print("{}\n", nlohmann::json{{"version", BUILDER_VERSION}}.dump(2))
                    : fmt::print("deployra-builder {}\n", BUILDER_VERSION);
              return Exit::ok;
            })
      .add_flag("--json", *json, "One object");
}

void add_help(CommandLine& line) {
  const auto path = std::make_shared<std::vector<std::string>>();
  std::vector<std::string> names;
  for (const CLI::App* verb : line.app().get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(verb->get_name());
  }
  line.verb(nullptr, "help", "Print the help of a verb",
            "  deployra-builder help             what is there?\n"
            "  deployra-builder help dead drop   as `deployra-builder dead drop --help` does",
            [&line, path] {
              const auto help = line.help_of(*path);
              if (!help) {
                complain(help.error().message + "\nSee: deployra-builder --help");
                return Exit::usage;
              }
              fmt::print("{}", *help);
              return Exit::ok;
            })
      .add_option("VERB", *path, "Its name; default: all of them")
      // The choices are for completions; what is none of them is answered with what may be meant.
      ->type_name(fmt::format("VERB:{{{}}}", fmt::join(names, ",")));
}

}  // namespace builder::app::cli
