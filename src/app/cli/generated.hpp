#pragma once

#include "app/cli/verb_words.hpp"

#include <string>

/// What is made of the declarations of the verbs: completions and manual pages. Each is the whole
/// text of a file.
namespace builder::app::cli {

/// For bash 4 or later:
/// https://www.gnu.org/software/bash/manual/html_node/Programmable-Completion.html
std::string bash_completion(const VerbWords& program);

/// For zsh 5 or later, as a file named `_deployra-builder` in a folder of `fpath`:
/// https://zsh.sourceforge.io/Doc/Release/Completion-System.html
std::string zsh_completion(const VerbWords& program);

/// For fish 3 or later: https://fishshell.com/docs/current/completions.html
std::string fish_completion(const VerbWords& program);

/// A page of section 1 about the program with all its verbs; in the macros of man(7).
std::string manual_page(const VerbWords& program, const std::string& version);

}  // namespace builder::app::cli
