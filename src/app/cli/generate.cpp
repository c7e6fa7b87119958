#include "app/cli/command_line.hpp"
#include "app/cli/generated.hpp"

#include <fmt/core.h>

#include <memory>
#include <string>

namespace builder::app::cli {

void add_completion(CommandLine& line) {
  const auto shell = std::make_shared<std::string>();
  const CLI::App& program = line.app();
  line.verb(nullptr, "completion", "Print the completions of a shell",
            "  source <(deployra-builder completion bash)   complete in this shell\n"
            "  deployra-builder completion fish >~/.config/fish/completions/deployra-builder.fish",
            [shell, &program] {
              const VerbWords words = words_of(program);
              fmt::print("{}", *shell == "bash"  ? bash_completion(words)
                               : *shell == "zsh" ? zsh_completion(words)
                                                 : fish_completion(words));
              return Exit::ok;
            })
      .add_option("SHELL", *shell, "The shell that will read them: bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

void add_manual(CommandLine& line) {
  const CLI::App& program = line.app();
  line.verb(nullptr, "manual", "Print the manual page, for man",
            "  deployra-builder manual | man -l -   read it", [&program] {
              fmt::print("{}", manual_page(words_of(program), BUILDER_VERSION));
              return Exit::ok;
            });
}

}  // namespace builder::app::cli
