#include "app/cli/generated.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <string_view>

namespace builder::app::cli {

namespace {

constexpr std::string_view k_program = "deployra-builder";

/// In single quotes, as all three shells read them. Only fish gives the backslash a meaning there,
/// in front of another one; no help text has two.
std::string in_quotes(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    c == '\'' ? quoted += "'\\''" : quoted += c;
  }
  return quoted + "'";
}

/// ` dead drop`, with a blank in front; empty for the program itself.
std::string place(const VerbWords& verb) {
  return verb.path.empty() ? "" : " " + verb.name();
}

std::string joined(const std::vector<std::string>& words, std::string_view by) {
  return fmt::format("{}", fmt::join(words, by));
}

/// What can stand behind a verb, without the options' values.
std::vector<std::string> words_behind(const VerbWords& verb) {
  std::vector<std::string> words;
  for (const VerbWords& inner : verb.verbs) {
    words.push_back(inner.path.back());
  }
  for (const OptionWords& option : verb.options) {
    words.insert(words.end(), option.names.begin(), option.names.end());
  }
  for (const OptionWords& positional : verb.positionals) {
    words.insert(words.end(), positional.choices.begin(), positional.choices.end());
  }
  return words;
}

bool takes_paths(const VerbWords& verb) {
  for (const OptionWords& positional : verb.positionals) {
    if (positional.is_path()) {
      return true;
    }
  }
  return false;
}

/// Reads the words before the one that is completed into the verb they name, as ` dead drop`.
std::string bash_places(const VerbWords& program) {
  std::vector<std::string> places;
  for (const VerbWords* verb : all_verbs(program)) {
    if (!verb->path.empty()) {
      places.push_back(in_quotes(place(*verb)));
    }
  }
  return joined(places, "|");
}

/// With a backslash in front of what would end the text: `[help]` of _arguments ends with a
/// bracket, and a colon begins what is next.
std::string zsh_text(std::string_view text, std::string_view special = ":") {
  std::string escaped;
  for (const char c : text) {
    if (special.contains(c)) {
      escaped += '\\';
    }
    escaped += c;
  }
  return escaped;
}

std::string zsh_value(const OptionWords& option) {
  return !option.choices.empty() ? fmt::format("({})", joined(option.choices, " "))
         : option.is_path()      ? "_files"
                                 : " ";
}

std::string zsh_function(const VerbWords& verb) {
  std::string name = fmt::format("_{}", k_program);
  for (const std::string& part : verb.path) {
    name += "_" + part;
  }
  return name;
}

void write_zsh(const VerbWords& verb, std::string& text) {
  text += fmt::format("{}() {{\n  local line state\n  _arguments -C", zsh_function(verb));
  for (const OptionWords& option : verb.options) {
    for (const std::string& name : option.names) {
      // A flag or option may stand several times where that makes sense; the verb says if not.
      const std::string value =
          option.value.empty() ? ""
                               : fmt::format(":{}:{}", zsh_text(option.value), zsh_value(option));
      text += " \\\n    " +
              in_quotes(fmt::format("*{}[{}]{}", name, zsh_text(option.help, "[]:\\"), value));
    }
  }
  if (!verb.verbs.empty()) {
    text +=
        " \\\n    '1: :->verb' \\\n    '*:: :->behind'\n  case $state in\n    verb)\n"
        "      local -a verbs=(";
    for (const VerbWords& inner : verb.verbs) {
      text += "\n        " + in_quotes(inner.path.back() + ":" + zsh_text(inner.what));
    }
    text += ")\n      _describe verb verbs\n      ;;\n    behind)\n      case $line[1] in\n";
    for (const VerbWords& inner : verb.verbs) {
      text += fmt::format("        {}) {} ;;\n", inner.path.back(), zsh_function(inner));
    }
    text += "      esac\n      ;;\n  esac\n}\n\n";
  } else {
    for (const OptionWords& positional : verb.positionals) {
      text += " \\\n    " +
              in_quotes(fmt::format("*:{}:{}", positional.names.front(), zsh_value(positional)));
    }
    text += "\n}\n\n";
  }
  for (const VerbWords& inner : verb.verbs) {
    write_zsh(inner, text);
  }
}

}  // namespace

std::string bash_completion(const VerbWords& program) {
  std::string behind_options;
  std::string behind_verbs;
  for (const VerbWords* verb : all_verbs(program)) {
    for (const OptionWords& option : verb->options) {
      if (option.value.empty()) {
        continue;
      }
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) {
        patterns.push_back(in_quotes(place(*verb) + " " + name));
      }
      behind_options += fmt::format(
          "    {})\n      {}\n      return\n      ;;\n", joined(patterns, "|"),
          option.is_path()         ? "COMPREPLY=($(compgen -f -- \"$cur\"))"
          : option.choices.empty() ? "COMPREPLY=()"
                                   : fmt::format("COMPREPLY=($(compgen -W {} -- \"$cur\"))",
                                                 in_quotes(joined(option.choices, " "))));
    }
    behind_verbs += fmt::format("    {}) words={}{} ;;\n", in_quotes(place(*verb)),
                                in_quotes(joined(words_behind(*verb), " ")),
                                takes_paths(*verb) ? " paths=yes" : "");
  }
  return fmt::format(R"(# bash completion for {0}
_deployra_builder() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} place= words= paths= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$place ${{COMP_WORDS[i]}}" in
      {1}) place="$place ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$place $previous" in
{2}  esac
  case "$place" in
{3}  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [ -n "$paths" ]; then
    COMPREPLY+=($(compgen -f -- "$cur"))
  fi
}}
complete -o filenames -F _deployra_builder {0}
)",
                     k_program, bash_places(program), behind_options, behind_verbs);
}

std::string zsh_completion(const VerbWords& program) {
  std::string text = fmt::format("#compdef {}\n\n", k_program);
  write_zsh(program, text);
  // Autoloaded, the file is the function's body and has to begin; sourced, it only registers.
  return text + fmt::format(
                    "if [ \"$funcstack[1]\" = _{0} ]; then\n  _{0} \"$@\"\nelse\n"
                    "  compdef _{0} {0}\nfi\n",
                    k_program);
}

std::string fish_completion(const VerbWords& program) {
  std::vector<std::string> places;
  for (const VerbWords* verb : all_verbs(program)) {
    if (!verb->path.empty()) {
      places.push_back(in_quotes(verb->name()));
    }
  }
  std::string text = fmt::format(R"(# fish completion for {0}
function __deployra_builder_at
    set -l place ''
    for word in (commandline -opc)[2..]
        set -l next (string trim -- "$place $word")
        if contains -- $next {1}
            set place $next
        end
    end
    test "$place" = "$argv[1]"
end

complete -c {0} -f
)",
                                 k_program, joined(places, " "));
  for (const VerbWords* verb : all_verbs(program)) {
    const std::string line =
        fmt::format("complete -c {} -n {}", k_program,
                    in_quotes(fmt::format("__deployra_builder_at \"{}\"", verb->name())));
    for (const VerbWords& inner : verb->verbs) {
      text += fmt::format("{} -a {} -d {}\n", line, inner.path.back(), in_quotes(inner.what));
    }
    for (const OptionWords& option : verb->options) {
      text += line;
      for (const std::string& name : option.names) {
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      text += option.value.empty()     ? ""
              : option.is_path()       ? " -r -F"
              : option.choices.empty() ? " -x"
                                       : " -x -a " + in_quotes(joined(option.choices, " "));
      text += fmt::format(" -d {}\n", in_quotes(option.help));
    }
    for (const OptionWords& positional : verb->positionals) {
      if (positional.is_path()) {
        text += line + " -F\n";
      } else if (!positional.choices.empty()) {
        text += fmt::format("{} -a {}\n", line, in_quotes(joined(positional.choices, " ")));
      }
    }
  }
  return text;
}

}  // namespace builder::app::cli
