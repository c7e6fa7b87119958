// What is written of any variables is read back: as the value that was sent, but for those a
// warning names, and never as another variable.
#include "domain/dotenv.hpp"

#include "fuzz/target.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

namespace {

/// What all readers have in common: a value is bare, in single quotes as it is, or in double quotes
/// with `\n`, `\r` and escaped marks.
std::optional<std::string> read_value(std::string_view text) {
  if (text.empty() || (text.front() != '\'' && text.front() != '"')) {
    return std::string(text);
  }
  const char quote = text.front();
  if (text.size() < 2 || text.back() != quote) {
    return std::nullopt;
  }
  text = text.substr(1, text.size() - 2);
  std::string value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == quote) {
      return std::nullopt;
    }
    if (quote == '"' && text[i] == '\\' && ++i < text.size()) {
      value += text[i] == 'n' ? '\n' : text[i] == 'r' ? '\r' : text[i];
    } else if (i < text.size()) {
      value += text[i];
    }
  }
  return value;
}

}  // namespace

BUILDER_FUZZ(dotenv) {
  using namespace builder;
  std::vector<domain::EnvironmentVariable> variables;
  std::map<std::string, std::string> sent;
  while (!input.empty()) {
    const std::string_view item = input.substr(0, input.find('\x01'));
    input.remove_prefix(std::min(item.size() + 1, input.size()));
    const std::size_t equals = std::min(item.find('='), item.size());
    variables.push_back({.key = std::string(item.substr(0, equals)),
                         .value = std::string(item.substr(std::min(equals + 1, item.size())))});
    sent[variables.back().key] = variables.back().value;
  }
  const domain::DotenvFile file = domain::write_dotenv(variables);
  std::size_t read = 0;
  std::string_view rest = file.content;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    fuzz::expect(line.size() < rest.size(), "the last row does not end");
    rest.remove_prefix(line.size() + 1);
    const std::string_view key = line.substr(0, line.find('='));
    const auto variable = sent.find(std::string(key));
    fuzz::expect(variable != sent.end(), "nobody sent this: " + std::string(line));
    const auto value = read_value(line.substr(std::min(key.size() + 1, line.size())));
    fuzz::expect(value == variable->second, "another value: " + std::string(line));
    sent.erase(variable);
    ++read;
  }
  fuzz::expect(read == file.written, "not as many as were written");
  fuzz::expect(sent.empty() || !file.warnings.empty(), "one is left out without a word");
  for (const std::string& warning : file.warnings) {
    fuzz::expect(std::ranges::none_of(warning, [](unsigned char c) { return c < 0x20; }),
                 "a warning has a control character: " + warning);
  }
}
