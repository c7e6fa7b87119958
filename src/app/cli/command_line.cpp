#include "app/cli/command_line.hpp"

#include "adapters/http/message.hpp"
#include "app/cli/help_format.hpp"
#include "app/cli/terminal.hpp"
#include "app/cli/verb_words.hpp"
#include "base/spelling.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <string_view>
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

std::string meant(std::string_view prefix, const std::string& nearest) {
  return nearest.empty() ? std::string() : fmt::format("; did you mean {}{}?", prefix, nearest);
}

std::string no_such_verb(const std::string& name, const VerbWords& among) {
  std::vector<std::string_view> known;
  for (const VerbWords& verb : among.verbs) {
    known.push_back(verb.path.back());
  }
  return fmt::format("there is no verb '{}'{}", printable_line(name),
                     meant("", nearest_word(name, known)));
}

std::string no_such_option(const std::string& typed, const VerbWords& verb) {
  constexpr std::string_view k_dashes = "--";
  const std::string name = typed.substr(0, typed.find('='));
  std::vector<std::string_view> known;
  for (const OptionWords& option : verb.options) {
    for (const std::string_view one : option.names) {
      if (one.starts_with(k_dashes)) {
        known.push_back(one.substr(k_dashes.size()));
      }
    }
  }
  // One letter may mean anything.
  const std::string nearest =
      name.starts_with(k_dashes) ? nearest_word(name.substr(k_dashes.size()), known) : "";
  return fmt::format("there is no option {}{}", printable_line(name), meant(k_dashes, nearest));
}

/// The first option with `=` and nothing behind it: the library would take the next argument for
/// its value, and a script's empty variable would build another folder.
std::string empty_option(std::span<char* const> arguments) {
  for (const std::string_view one : arguments) {
    if (one == "--") {
      break;
    }
    if (one.starts_with("--") && one.find('=') == one.size() - 1) {
      return printable_line(one.substr(0, one.size() - 1));
    }
  }
  return "";
}

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
  // The library would forget the verb behind it, and a worker would start.
  if (argc > 1 && std::string_view(argv[1]) == "--") {
    complain("a verb must stand in front of --\nSee: deployra-builder --help");
    return Exit::usage;
  }
  if (const std::string empty = empty_option({argv, static_cast<std::size_t>(argc)});
      !empty.empty()) {
    complain(empty + " is empty");
    return Exit::usage;
  }
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    app_.exit(asked);
    return Exit::ok;
  } catch (const CLI::ParseError& error) {
    complain(wrong_usage(error));
    return Exit::usage;
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

std::string CommandLine::wrong_usage(const CLI::ParseError& error) const {
  const bool has_more = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  std::vector<std::string> path;
  const CLI::App* verb = &app_;
  // What is not understood is left with the verb behind which it stands.
  while (!verb->get_subcommands().empty() && !(has_more && verb->remaining_size() > 0)) {
    verb = verb->get_subcommands().front();
    path.push_back(verb->get_name());
  }
  const VerbWords words = words_of(*verb, path);
  std::string problem = error.what();
  if (has_more) {
    const std::string typed = verb->remaining().front();
    problem = typed.size() > 1 && typed.starts_with('-') ? no_such_option(typed, words)
              : !words.verbs.empty()
                  ? no_such_verb(typed, words)
                  : fmt::format("'{}' is one argument too many",
                                printable_line(adapters::http::without_secrets(typed)));
  }
  return fmt::format("{}\nSee: deployra-builder {}--help", problem,
                     path.empty() ? "" : words.name() + " ");
}

Result<std::string> CommandLine::help_of(const std::vector<std::string>& path) const {
  const CLI::App* verb = &app_;
  std::string name = app_.get_name();
  for (const std::string& next : path) {
    const auto found =
        verb->get_subcommands([&](const CLI::App* inner) { return inner->get_name() == next; });
    if (found.empty()) {
      return failure(ErrorKind::invalid_input, no_such_verb(next, words_of(*verb)));
    }
    verb = found.front();
    name += " " + next;
  }
  return verb->get_formatter()->make_help(verb, name, CLI::AppFormatMode::Normal);
}

std::string is_something(const std::string& value) {
  return value.empty() ? "is empty" : "";
}

void complain(const std::string& text) {
  put(stderr, fmt::format("deployra-builder: {}\n", text));
}

}  // namespace builder::app::cli
