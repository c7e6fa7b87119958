#pragma once

#include "base/result.hpp"

#include <CLI/CLI.hpp>

#include <functional>
#include <map>
#include <string>
#include <vector>

/// The verbs of the program, one file each (`serve.cpp`, `config.cpp`, …). A verb declares its
/// options with CLI11; help, completions and man pages are made of these declarations, so nothing
/// is said twice. What a verb does begins only when the whole line was understood.
namespace builder::app::cli {

/// Exit codes; docs/cli.md lists them.
enum class Exit : int {
  ok = 0,
  failed = 1,     ///< What was asked for did not happen, or could not start.
  usage = 2,      ///< The command line or the configuration is wrong; nothing was begun.
  aborted = 130,  ///< Ctrl+C.
};

/// What is run once the line was understood.
using Action = std::function<Exit()>;

class CommandLine {
 public:
  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// Declares a verb below `parent` (the program itself when null). `examples` is shown at the end
  /// of its help: one command a line, two spaces and what it does behind it. The references stay
  /// valid for as long as this object; `action` may capture a `std::shared_ptr` to what the options
  /// were bound to.
  CLI::App& verb(CLI::App* parent, const std::string& name, const std::string& what,
                 const std::string& examples, Action action);

  CLI::App& app() { return app_; }

  /// Parses, and runs the innermost verb that was given; `by_default` without one. Prints help, the
  /// version and what is wrong with the line.
  Exit run(int argc, char** argv, const std::string& by_default);

  /// What `--help` behind these names prints; the error names the verb that may be meant.
  [[nodiscard]] Result<std::string> help_of(const std::vector<std::string>& path) const;

 private:
  [[nodiscard]] std::string wrong_usage(const CLI::ParseError& error) const;

  CLI::App app_;
  std::map<const CLI::App*, Action> actions_;
};

/// One for each verb; `run_command_line` calls them all.
void add_build(CommandLine& line);
void add_serve(CommandLine& line);
void add_config(CommandLine& line);
void add_health(CommandLine& line);
void add_doctor(CommandLine& line);
void add_queue(CommandLine& line);
void add_list(CommandLine& line);
void add_show(CommandLine& line);
void add_logs(CommandLine& line);
void add_replay(CommandLine& line);
void add_submit(CommandLine& line);
void add_cancel(CommandLine& line);
void add_workers(CommandLine& line);
void add_dead(CommandLine& line);
void add_pause(CommandLine& line);
void add_resume(CommandLine& line);
void add_completion(CommandLine& line);
void add_manual(CommandLine& line);
void add_version(CommandLine& line);
/// The last one: it knows all others.
void add_help(CommandLine& line);

/// Prints `deployra-builder: <text>` to stderr.
void complain(const std::string& text);

/// A check for options: a script whose variable is not set means something else than the default.
std::string is_something(const std::string& value);

}  // namespace builder::app::cli
