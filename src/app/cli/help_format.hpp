#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace builder::app::cli {

/// How `--help` is laid out: as CLI11 does, but of an option it says what is typed behind it, in
/// place of the type that the program reads it into and of the checks it has to pass.
class HelpFormat final : public CLI::Formatter {
 public:
  HelpFormat() { label("SUBCOMMAND", "VERB"); }

  std::string make_option_opts(const CLI::Option* option) const override;
};

}  // namespace builder::app::cli
