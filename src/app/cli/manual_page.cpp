#include "app/cli/generated.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

namespace builder::app::cli {

namespace {

/// Text as roff shows it letter by letter: https://man.openbsd.org/mandoc_char
std::string escaped(std::string_view text) {
  std::string roff;
  for (const char c : text) {
    switch (c) {
      case '\\':
        roff += "\\e";
        break;
      case '-':
        roff += "\\-";
        break;
      case '`':
        roff += "\\(ga";
        break;
      case '\'':
        roff += "\\(aq";
        break;
      case '~':
        roff += "\\(ti";
        break;
      case '^':
        roff += "\\(ha";
        break;
      default:
        roff += c;
    }
  }
  // A point at the beginning of a line would be a request.
  return roff.starts_with('.') ? "\\&" + roff : roff;
}

std::string names_of(const OptionWords& option) {
  std::string text;
  for (const std::string& name : option.names) {
    text += fmt::format("{}\\fB{}\\fR", text.empty() ? "" : ", ", escaped(name));
  }
  return option.value.empty() ? text : fmt::format("{} \\fI{}\\fR", text, escaped(option.value));
}

std::string synopsis_of(const VerbWords& verb) {
  std::string text = "\\fBdeployra\\-builder\\fR";
  for (const std::string& name : verb.path) {
    text += fmt::format(" \\fB{}\\fR", escaped(name));
  }
  if (!verb.options.empty()) {
    text += " [\\fIOPTIONS\\fR]";
  }
  for (const OptionWords& positional : verb.positionals) {
    const std::string name = escaped(positional.names.front());
    text +=
        positional.required ? fmt::format(" \\fI{}\\fR", name) : fmt::format(" [\\fI{}\\fR]", name);
  }
  return text;
}

/// As it is laid out, letter by letter.
std::string literal(std::string_view text) {
  std::string roff = ".nf\n";
  for (;;) {
    const auto end = std::min(text.find('\n'), text.size());
    roff += end == 0 ? ".sp\n" : escaped(text.substr(0, end)) + "\n";
    if (end == text.size()) {
      return roff + ".fi\n";
    }
    text.remove_prefix(end + 1);
  }
}

std::string options_of(const VerbWords& verb) {
  std::string text;
  for (const OptionWords& positional : verb.positionals) {
    text += fmt::format(".TP\n\\fI{}\\fR\n{}\n", escaped(positional.names.front()),
                        escaped(positional.help));
  }
  for (const OptionWords& option : verb.options) {
    text += fmt::format(".TP\n{}\n{}\n", names_of(option), escaped(option.help));
    if (!option.choices.empty()) {
      std::string choices;
      for (const std::string& choice : option.choices) {
        choices += (choices.empty() ? "" : ", ") + choice;
      }
      text += escaped("One of: " + choices + ".") + "\n";
    }
  }
  return text;
}

}  // namespace

std::string manual_page(const VerbWords& program, const std::string& version) {
  std::string text = fmt::format(
      ".TH DEPLOYRA\\-BUILDER 1 \"\" \"deployra\\-builder {}\" \"User Commands\"\n"
      ".SH NAME\ndeployra\\-builder \\- build worker of the Deployra platform\n.SH SYNOPSIS\n",
      escaped(version));
  const auto verbs = all_verbs(program);
  for (const VerbWords* verb : verbs) {
    // What only holds other verbs is not run itself.
    text += verb == verbs.front() ? synopsis_of(*verb) + " [\\fIVERB\\fR]\n"
                                  : ".br\n" + synopsis_of(*verb) + "\n";
  }
  text += fmt::format(".SH DESCRIPTION\n{}\n.SH OPTIONS\n{}.SH VERBS\n", escaped(program.what),
                      options_of(program));
  for (const VerbWords* verb : verbs) {
    if (verb == verbs.front()) {
      continue;
    }
    text += fmt::format(".SS {}\n{}.\n{}", escaped(verb->name()), escaped(verb->what),
                        options_of(*verb));
    if (!verb->footer.empty()) {
      text += ".PP\n" + literal(verb->footer);
    }
  }
  return text + ".SH NOTES\n" + literal(program.footer);
}

}  // namespace builder::app::cli
