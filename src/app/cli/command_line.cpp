#include "app/cli/command_line.hpp"

#include "app/cli/help_format.hpp"
#include "app/cli/terminal.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <utility>

namespace builder::app::cli {

namespace {

constexpr const char* k_footer =
    R"(Configuration comes from the environment and from .env in the working directory; the environment
wins. `deployra-builder config` shows every setting, its value and where the value comes from.

Examples:
  deployra-builder doctor                   is everything there that a worker needs?
  API_KEY=… deployra-builder                run the worker in the foreground
  kill -TERM <pid>                          finish the running builds, then end
  deployra-builder queue --watch            what waits, and what is built where?
  deployra-builder build web/               an image of a folder, without a platform

Exit codes: 0 done, 1 failed or could not start, 2 wrong usage or configuration, 130 aborted.)";

}  // namespace

CommandLine::CommandLine()
    : app_(
          "Build worker of the Deployra platform: takes deployments from a Redis queue, builds "
          "their images and pushes them.",
          "deployra-builder") {
  app_.formatter(std::make_shared<HelpFormat>());
  app_.set_help_flag("-h,--help", "Print this help");
  app_.set_version_flag("--version", "deployra-builder " BUILDER_VERSION, "Print the version");
  app_.footer(k_footer);
  app_.require_subcommand(0, 1);
}

CLI::App& CommandLine::verb(CLI::App* parent, const std::string& name, const std::string& what,
                            const std::string& examples, Action action) {
  CLI::App& verb = *(parent == nullptr ? &app_ : parent)->add_subcommand(name, what);
  verb.group("Verbs");
  if (!examples.empty()) {
    verb.footer("Examples:\n" + examples);
  }
  actions_.emplace(&verb, std::move(action));
  return verb;
}

Exit CommandLine::run(int argc, char** argv, const std::string& by_default) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_.exit(error) == 0 ? Exit::ok : Exit::usage;
  }
  const CLI::App* verb = &app_;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().front();
  }
  try {
    return actions_.at(verb == &app_ ? app_.get_subcommand(by_default) : verb)();
  } catch (const std::exception& error) {
    complain(error.what());
    return Exit::failed;
  }
}

void complain(const std::string& text) {
  put(stderr, fmt::format("deployra-builder: {}\n", text));
}

}  // namespace builder::app::cli
