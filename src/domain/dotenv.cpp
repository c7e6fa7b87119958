#include "domain/dotenv.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace builder::domain {

namespace {

bool is_key(std::string_view key) {
  return !key.empty() && key.size() <= 256 && std::ranges::all_of(key, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  });
}

/// A key as it may be shown: what is not printable ASCII becomes '?'.
std::string shown(std::string_view key) {
  std::string text(key.substr(0, 60));
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c > 0x7E; }, '?');
  return text;
}

bool has_any(std::string_view value, std::string_view characters) {
  return value.find_first_of(characters) != std::string_view::npos;
}

/// Only characters that no reader gives a meaning outside quotes, and those in `more`.
bool is_bare(std::string_view value, std::string_view more = "") {
  return std::ranges::all_of(value, [more](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("_./:@%+,-").contains(static_cast<char>(c)) ||
           more.contains(static_cast<char>(c));
  });
}

/// `\n` and `\r` are escapes for every reader (of Ruby's, see k_line_ends). They are never written
/// as they are: phpdotenv refuses a file with a line end in single quotes, old Ruby readers take
/// the second line for a variable of its own, and a carriage return becomes a line end.
std::string in_double_quotes(std::string_view value, std::string_view escaped) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
    } else if (c == '\r') {
      text += "\\r";
    } else {
      text += escaped.contains(c) ? "\\" : "";
      text += c;
    }
  }
  return text + '"';
}

/// Readers that do not undo every escape of such a value in double quotes.
std::string misread_when_escaped(std::string_view value) {
  const bool odd = value.contains("\\n") || value.contains("\\r") || value.contains("$(");
  std::string readers = "Node";
  for (const auto& [name, misreads] :
       {std::pair{"python-dotenv", value.contains('$')}, std::pair{"Ruby", odd},
        std::pair{"Symfony", odd}, std::pair{"Go", value.ends_with('"')}}) {
    readers += misreads ? std::string(", ") + name : "";
  }
  return readers;
}

/// phpdotenv takes `="` anywhere in a line for the start of a value of several lines, unless there
/// is another quote.
bool opens_a_quote(std::string_view value) {
  std::size_t quotes = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    quotes += value[i] == '"' && (i == 0 || value[i - 1] != '\\') ? 1u : 0u;
  }
  return quotes == 1 && value.contains("=\"");
}

struct Written {
  std::optional<std::string> text;  ///< None: some reader would refuse the whole file.
  std::string problem;              ///< Empty: every reader reads the value back.
};

/// What the readers make of each form was found by trying all of them on all of these characters;
/// the system tests do it again. No form may make a reader refuse the file or see another variable.
Written write_value(const std::string& value) {
  if (is_bare(value)) {
    return {value, {}};
  }
  // A backslash before the closing quote hides it from godotenv and python-dotenv.
  if (value.ends_with('\\')) {
    if (is_bare(value, "\\") && !value.contains("\\\\")) {
      const bool more = value.find('\\') != value.size() - 1;
      return {value, more ? "Ruby's dotenv 3 drops backslashes in it" : ""};
    }
    return {{}, "it ends with a backslash, which no quotes can hold"};
  }
  if (!has_any(value, "'\r\n") && !opens_a_quote(value)) {
    // As it is for everyone, with two exceptions.
    return {"'" + value + "'", value.contains("${") ? "python-dotenv expands ${…} in it"
                               : value.contains("\\\\")
                                   ? "python-dotenv halves double backslashes in it"
                                   : ""};
  }
  if (!has_any(value, "\"\\$")) {
    return {in_double_quotes(value, ""), {}};
  }
  if (!has_any(value, "\"\\") && !value.contains("${") && !value.contains("$(")) {
    return {in_double_quotes(value, ""), "the readers of Go, Ruby and Symfony expand '$' in it"};
  }
  if (value.contains("\\\"")) {
    return {{}, "Symfony's Dotenv refuses its mix of quotes and backslashes"};
  }
  return {in_double_quotes(value, "\"\\$"),
          "its mix of quotes, '$' and backslashes is misread by the readers of " +
              misread_when_escaped(value)};
}

/// Which readers refuse a file with such a name; empty when none does.
std::string_view problem_of_name(std::string_view key) {
  if (key.contains('-')) {
    return "the readers of Go, Ruby and PHP refuse or ignore '-' in a name";
  }
  const std::string_view word = key.substr(key.starts_with('_') ? 1 : 0);
  const bool is_word = !word.empty() && std::isalpha(static_cast<unsigned char>(word[0])) != 0 &&
                       !word.contains('.');
  return is_word ? "" : "Symfony's Dotenv refuses a file with such a name";
}

constexpr const char* k_line_ends =
    "Line ends in values are written to .env as \\n; Ruby's dotenv 3 reads them with "
    "DOTENV_LINEBREAK_MODE=legacy only";

}  // namespace

DotenvFile write_dotenv(std::span<const EnvironmentVariable> variables) {
  DotenvFile file;
  bool has_line_ends = false;
  std::map<std::string_view, const EnvironmentVariable*> last;
  for (const EnvironmentVariable& variable : variables) {
    last[variable.key] = &variable;
  }
  for (const EnvironmentVariable& variable : variables) {
    const auto found = last.find(variable.key);
    if (found == last.end()) {
      continue;  // Written already, at the place of its first mention.
    }
    const std::string& value = found->second->value;
    last.erase(found);
    if (!is_key(variable.key)) {
      file.warnings.push_back("Variable '" + shown(variable.key) +
                              "' is not written to .env: its name may hold letters, digits, '_', "
                              "'.' and '-' only");
      continue;
    }
    if (value.contains('\0')) {
      file.warnings.push_back("Variable '" + variable.key +
                              "' is not written to .env: its value holds a NUL character");
      continue;
    }
    const auto warn = [&](std::string_view what) {
      file.warnings.push_back("Variable '" + variable.key + "' " + std::string(what));
    };
    const Written written = write_value(value);
    if (!written.text) {
      warn("is not written to .env: " + written.problem);
      continue;
    }
    if (!written.problem.empty()) {
      warn("in .env: " + written.problem);
    }
    if (const auto problem = problem_of_name(variable.key); !problem.empty()) {
      warn("in .env: " + std::string(problem));
    }
    has_line_ends = has_line_ends || has_any(value, "\r\n");
    file.content += variable.key + "=" + *written.text + "\n";
    ++file.written;
  }
  if (has_line_ends) {
    file.warnings.emplace_back(k_line_ends);
  }
  return file;
}

}  // namespace builder::domain
