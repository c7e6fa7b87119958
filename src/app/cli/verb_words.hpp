#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

/// The declarations of the command line as plain values, for whatever is generated of them.
namespace builder::app::cli {

struct OptionWords {
  std::vector<std::string> names;  ///< `-f`, `--file`; of a positional its own: `ID`.
  std::string help;
  std::string value;                 ///< What follows it, as `FILE` or `N`; empty: a flag.
  std::vector<std::string> choices;  ///< The only values it takes; empty: any.
  bool required = false;

  /// Whether its value is a file or a folder.
  [[nodiscard]] bool is_path() const {
    return value == "FILE" || value == "DIR" || value == "PATH";
  }
};

struct VerbWords {
  std::vector<std::string> path;  ///< Of names, without the program's.
  std::string what;
  std::string footer;
  std::vector<OptionWords> options;
  std::vector<OptionWords> positionals;
  std::vector<VerbWords> verbs;  ///< In the order of their declaration.

  /// `dead drop`; empty: the program itself.
  [[nodiscard]] std::string name() const;
};

OptionWords words_of(const CLI::Option& option);

/// Of a program or verb whose names on the way there are `path`.
VerbWords words_of(const CLI::App& app, std::vector<std::string> path = {});

/// The verb and all below it, each before its own.
std::vector<const VerbWords*> all_verbs(const VerbWords& verb);

}  // namespace builder::app::cli
