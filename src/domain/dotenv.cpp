#include "domain/dotenv.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>

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

bool is_bare(std::string_view value) {
  return std::ranges::all_of(value, [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("_./:@%+,-").contains(static_cast<char>(c));
  });
}

bool has_any(std::string_view value, std::string_view characters) {
  return value.find_first_of(characters) != std::string_view::npos;
}

/// Every reader takes the text between single quotes as it is, but: none has a way to write a
/// quote; python-dotenv reads `\\` as one backslash; a backslash before the closing quote hides it
/// from some; a carriage return is turned into a line end by most.
bool fits_single_quotes(std::string_view value) {
  return !has_any(value, "'\r") && !value.contains("\\\\") && !value.ends_with('\\');
}

/// Between double quotes `\n` and `\r` are escapes for every reader, but they differ on all other
/// backslashes and on `$`.
bool fits_double_quotes(std::string_view value) {
  return !has_any(value, "\"\\$`");
}

std::string in_double_quotes(std::string_view value, bool escape_quotes) {
  std::string text = "\"";
  for (const char c : value) {
    switch (c) {
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      case '"':
      case '\\':
      case '$':
        text += escape_quotes ? "\\" : "";
        text += c;
        break;
      default:
        text += c;
    }
  }
  return text + '"';
}

struct Written {
  std::string text;
  std::string_view problem;  ///< Empty: every reader reads the value back.
};

Written write_value(const std::string& value) {
  if (is_bare(value)) {
    return {value, {}};
  }
  if (fits_single_quotes(value)) {
    // python-dotenv alone expands ${…} even here.
    return {"'" + value + "'",
            value.contains("${") ? std::string_view("python-dotenv expands ${…} in it") : ""};
  }
  if (fits_double_quotes(value)) {
    return {in_double_quotes(value, false), {}};
  }
  if (!value.contains('\'')) {
    // Only backslashes stand against single quotes.
    if (!value.contains('\r') && !value.ends_with('\\')) {
      return {"'" + value + "'", "python-dotenv halves its doubled backslashes"};
    }
  } else if (!has_any(value, "`\r") && !value.ends_with('\\')) {
    return {"`" + value + "`",
            "only the dotenv of Node reads a value with this mix of quotes, '$' and backslashes"};
  }
  return {in_double_quotes(value, true),
          "the dotenv of Node keeps the backslashes this mix of characters needs"};
}

}  // namespace

DotenvFile write_dotenv(std::span<const EnvironmentVariable> variables) {
  DotenvFile file;
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
    const Written written = write_value(value);
    if (!written.problem.empty()) {
      file.warnings.push_back("Variable '" + variable.key +
                              "' in .env: " + std::string(written.problem));
    }
    file.content += variable.key + "=" + written.text + "\n";
  }
  return file;
}

}  // namespace builder::domain
