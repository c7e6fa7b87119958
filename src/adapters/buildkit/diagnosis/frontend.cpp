#include "adapters/buildkit/diagnosis/frontend.hpp"

#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

using nlohmann::json;

/// What Go's regular expressions call \s.
constexpr std::string_view k_directive_blank = "\t\n\f\r ";

void drop_spaces(std::string_view& text) {
  while (const std::size_t blank = leading_blank(text)) {
    text.remove_prefix(blank);
  }
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

struct Directive {
  std::string name;  ///< Lower case.
  std::string_view value;
};

/// `# name = value`.
std::optional<Directive> read_directive(std::string_view line) {
  drop_spaces(line);
  if (line.starts_with("//")) {
    line.remove_prefix(2);
  } else if (line.starts_with('#')) {
    line.remove_prefix(1);
  } else {
    return std::nullopt;
  }
  drop_spaces(line);
  const auto end = std::ranges::find_if_not(line, is_word);
  Directive directive{.name = lower_case(std::string(line.begin(), end)), .value = {}};
  line.remove_prefix(directive.name.size());
  drop_spaces(line);
  if (directive.name.empty() || !line.starts_with('=')) {
    return std::nullopt;
  }
  line.remove_prefix(1);
  directive.value = trimmed(line, k_directive_blank);
  return directive.value.empty() ? std::nullopt : std::optional(directive);
}

/// A JSON object for a Dockerfile. Go's reader takes texts that ours refuses (invalid UTF-8), so
/// what cannot be read is no "none".
void read_json(std::string_view text, std::size_t line, std::vector<NamedFrontend>& found) {
  const auto object = parse_json(text);
  if (object.is_discarded()) {
    found.push_back({.reference = {}, .line = line});
    return;
  }
  if (const auto syntax = object.find("syntax"); syntax != object.end() && syntax->is_string()) {
    found.push_back({.reference = syntax->get<std::string>(), .line = line});
  }
}

std::string in_words(const FrontendRules& rules) {
  std::string words;
  for (const oci::Reference& reference : rules.allowed) {
    const bool hub = reference.host == "registry-1.docker.io";
    words += (words.empty() ? "" : ", ") + (hub ? "" : reference.host + "/") + reference.repository;
  }
  return words;
}

bool is_allowed(const FrontendRules& rules, const std::string& name) {
  const auto reference = oci::parse_reference(name);
  return reference && std::ranges::any_of(rules.allowed, [&](const oci::Reference& allowed) {
           return allowed.host == reference->host && allowed.repository == reference->repository;
         });
}

}  // namespace

std::vector<NamedFrontend> named_frontends(std::string_view dockerfile) {
  std::vector<NamedFrontend> found;
  std::size_t number = 1;
  if (dockerfile.starts_with("\xEF\xBB\xBF")) {
    dockerfile.remove_prefix(3);
  }
  if (dockerfile.starts_with("#!")) {
    dockerfile.remove_prefix(std::min(dockerfile.find('\n'), dockerfile.size() - 1) + 1);
    ++number;
  }
  if (const std::size_t first = dockerfile.find_first_not_of(k_directive_blank);
      first != std::string_view::npos && dockerfile[first] == '{') {
    read_json(dockerfile, number, found);
  }
  for (; !dockerfile.empty(); ++number) {
    const std::size_t end = std::min(dockerfile.find('\n'), dockerfile.size());
    const auto directive = read_directive(dockerfile.substr(0, end));
    if (!directive) {
      break;
    }
    if (directive->name == "syntax") {
      found.push_back(
          {.reference = std::string(directive->value.substr(0, directive->value.find(' '))),
           .line = number});
    }
    dockerfile.remove_prefix(std::min(end + 1, dockerfile.size()));
  }
  return found;
}

Result<FrontendRules> parse_frontend_rules(std::string_view text) {
  FrontendRules rules;
  if (text == "any") {
    rules.any = true;
    return rules;
  }
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    drop_spaces(name);
    name = name.substr(0, name.find_last_not_of(k_directive_blank) + 1);
    if (!name.empty()) {
      BUILDER_TRY_ASSIGN(oci::Reference reference, oci::parse_reference(name));
      rules.allowed.push_back(std::move(reference));
    }
  }
  return rules;
}

Result<std::vector<std::string>> check_frontends(const FrontendRules& rules, std::string_view file,
                                                 std::string_view dockerfile) {
  std::vector<std::string> names;
  for (NamedFrontend& frontend : named_frontends(dockerfile)) {
    if (!rules.any && !is_allowed(rules, frontend.reference)) {
      const std::string shown =
          frontend.reference.empty()
              ? "in a JSON Dockerfile"
              : "\"" + truncate_characters(printable_columns(frontend.reference), 50) + "\"";
      const std::string words = in_words(rules);
      return std::unexpected(Error{
          .kind = ErrorKind::build_failed,
          .message = fmt::format("{}:{} names the frontend '{}', which FRONTENDS does not allow",
                                 file, frontend.line, printable_columns(frontend.reference)),
          .customer = truncate_characters(
              fmt::format("{}:{}: the frontend {} is not allowed here; use {}", file, frontend.line,
                          shown, words.empty() ? "none" : "none or one of " + words),
              k_customer_limit)});
    }
    names.push_back(std::move(frontend.reference));
  }
  return names;
}

}  // namespace builder::adapters::buildkit
