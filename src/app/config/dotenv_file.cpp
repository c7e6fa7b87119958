#include "app/config/dotenv_file.hpp"

#include "base/ascii.hpp"

#include <fmt/format.h>

#include <sstream>

namespace builder::app {

namespace {

/// What of a value in a `.env` file cannot be read; empty: all can.
std::string_view problem_of_value(std::string_view value) {
  if (value.empty() || (value.front() != '"' && value.front() != '\'')) {
    return "";
  }
  const std::size_t end = value.find(value.front(), 1);
  if (end == std::string_view::npos) {
    return "has a quote that is not closed in the same line; it counts as part of the value";
  }
  const std::string_view rest = trimmed(value.substr(end + 1));
  return rest.empty() || rest.front() == '#' ? ""
                                             : "has text behind the closing quote; it is cut off";
}

}  // namespace

DotenvValues parse_dotenv(std::string_view content, std::string_view name,
                          std::vector<std::string>& warnings) {
  DotenvValues values;
  if (content.starts_with("\xEF\xBB\xBF")) {
    content.remove_prefix(3);
  }
  std::istringstream lines{std::string(content)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = std::string(trimmed(line));
    if (line.empty() || line.front() == '#') {
      continue;
    }
    const std::size_t equals = line.find('=');
    std::string key = equals == std::string::npos
                          ? ""
                          : std::string(trimmed(std::string_view(line).substr(0, equals)));
    if (key.starts_with("export ")) {
      key = std::string(trimmed(std::string_view(key).substr(7)));
    }
    std::string value = equals == std::string::npos
                            ? ""
                            : std::string(trimmed(std::string_view(line).substr(equals + 1)));
    if (key.empty() || key.find_first_of(" \t\"'$`\\") != std::string::npos) {
      warnings.push_back(
          fmt::format("{}: line {} is not NAME=value; it is passed over", name, number));
      continue;
    }
    if (const std::string_view problem = problem_of_value(value); !problem.empty()) {
      warnings.push_back(fmt::format("{}: line {} {}", name, number, problem));
    }
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.find(value.front(), 1) != std::string::npos) {
      value = value.substr(1, value.find(value.front(), 1) - 1);
    } else if (const std::size_t comment = value.find(" #"); comment != std::string::npos) {
      value = std::string(trimmed(std::string_view(value).substr(0, comment)));
    }
    values[key] = value;
  }
  return values;
}

}  // namespace builder::app
