#include "domain/failures/failure_rules.hpp"

#include "base/ascii.hpp"
#include "base/check.hpp"
#include "base/redactor.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/toml.hpp"
#include "domain/customer_line.hpp"
#include "domain/failures/rules_text.hpp"
#include "domain/log_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <set>
#include <utility>

namespace builder::domain::failures {

namespace {

constexpr std::size_t k_default_lines = 60;
constexpr std::size_t k_most_lines = 1'000;
constexpr std::size_t k_longest_line = 2'000;
constexpr std::size_t k_longest_capture = 60;
constexpr std::size_t k_shortest_capture = 8;
/// Beside it a status has room for `Dockerfile:3: "20 characters of it" failed with exit code 127`.
constexpr std::size_t k_brief = 125;
constexpr std::string_view k_keys[] = {"name",  "category", "step",      "exit", "ending",
                                       "error", "all",      "any",       "none", "more",
                                       "lines", "sentence", "suggestion"};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// Without the `#8 1.234 ` that plain progress of BuildKit puts in front.
std::string_view without_step_prefix(std::string_view line) {
  const auto digits = [](std::string_view text, std::string_view which) {
    return std::min(text.find_first_not_of(which), text.size());
  };
  if (!line.starts_with('#')) {
    return line;
  }
  std::string_view rest = line.substr(1);
  const std::size_t number = digits(rest, "0123456789");
  rest.remove_prefix(number);
  if (number == 0 || !rest.starts_with(' ')) {
    return line;
  }
  rest.remove_prefix(1);
  const std::size_t time = digits(rest, "0123456789.");
  return time > 2 && rest.substr(time).starts_with(' ') ? rest.substr(time + 1) : line;
}

/// What programs of one kind write differently becomes the same.
std::string plain(std::string line) {
  for (const auto& [from, to] : {std::pair{"‘", "'"}, {"’", "'"}, {"“", "\""}, {"”", "\""}}) {
    replace_all(line, from, to);
  }
  // npm up to 9.
  replace_all(line, "npm ERR!", "npm error");
  const std::string_view shown = without_step_prefix(line);
  return std::string(truncate_bytes(trimmed(shown, " \t"), k_longest_line));
}

struct Line {
  std::string text;
  std::string lower;
};

/// Lines that say something, as a reader would see them without colours.
std::vector<Line> lines_of(std::string_view output,
                           const std::shared_ptr<const Redactor>& redactor) {
  std::vector<Line> lines;
  LineAssembler assembler(redactor, [&](const std::string& row) {
    std::string text = plain(without_colours(row));
    if (std::ranges::any_of(text,
                            [](unsigned char c) { return std::isalnum(c) != 0 || c >= 0x80; })) {
      std::string lower = lower_case(text);
      lines.push_back({.text = std::move(text), .lower = std::move(lower)});
    }
  });
  assembler.feed(output);
  assembler.finish();
  return lines;
}

/// What stands behind the last line that fits one of the patterns.
std::vector<Line> behind_last(const std::vector<LinePattern>& patterns, std::vector<Line> lines) {
  Captures ignored;
  const auto last = std::find_if(lines.rbegin(), lines.rend(), [&](const Line& line) {
    return std::ranges::any_of(patterns, [&](const LinePattern& pattern) {
      return pattern.matches(line.text, line.lower, ignored);
    });
  });
  lines.erase(lines.begin(), last.base());
  return lines;
}

bool found(const LinePattern& pattern, const std::vector<Line>& lines, std::size_t last,
           Captures& captures) {
  const std::size_t begin = lines.size() - std::min(lines.size(), last);
  return std::any_of(
      lines.begin() + static_cast<std::ptrdiff_t>(begin), lines.end(),
      [&](const Line& line) { return pattern.matches(line.text, line.lower, captures); });
}

bool found_any(const std::vector<LinePattern>& patterns, const std::vector<Line>& lines,
               std::size_t last, Captures& captures) {
  return std::ranges::any_of(
      patterns, [&](const LinePattern& pattern) { return found(pattern, lines, last, captures); });
}

/// Whether the rule fits what is known; adds what its patterns captured.
bool fits(const Rule& rule, const Failure& failure, std::string_view lower_step,
          const std::vector<Line>& output, const std::vector<Line>& error, Captures& captures) {
  const bool is_step =
      rule.step.empty() || std::ranges::any_of(rule.step, [&](const std::string& word) {
        return lower_step.contains(word);
      });
  const bool is_code =
      rule.exit_codes.empty() ||
      (failure.exit_code &&
       std::ranges::find(rule.exit_codes, *failure.exit_code) != rule.exit_codes.end());
  if (!is_step || !is_code || (!rule.ending.empty() && rule.ending != failure.ending)) {
    return false;
  }
  Captures ignored;
  const std::size_t lines = rule.lines;
  const bool matches =
      (rule.error.empty() || found_any(rule.error, error, k_most_lines, captures)) &&
      std::ranges::all_of(
          rule.all,
          [&](const LinePattern& pattern) { return found(pattern, output, lines, captures); }) &&
      (rule.any.empty() || found_any(rule.any, output, lines, captures)) &&
      !found_any(rule.none, output, lines, ignored);
  if (matches) {
    for (const LinePattern& pattern : rule.more) {
      found(pattern, output, lines, captures);
    }
  }
  return matches;
}

/// Calls `text` and `name` for the parts of `{name}` and `{name|what else}`; false: a brace is
/// alone.
template <class Text, class Name>
bool for_parts(std::string_view form, Text&& text, Name&& name) {
  while (!form.empty()) {
    const std::size_t open = std::min(form.find('{'), form.size());
    text(form.substr(0, open));
    form.remove_prefix(open);
    if (form.empty()) {
      break;
    }
    const std::size_t close = form.find('}');
    if (close == std::string_view::npos) {
      return false;
    }
    const std::string_view inside = form.substr(1, close - 1);
    const std::size_t bar = std::min(inside.find('|'), inside.size());
    name(inside.substr(0, bar),
         bar < inside.size() ? std::optional(inside.substr(bar + 1)) : std::nullopt);
    form.remove_prefix(close + 1);
  }
  return true;
}

std::string filled(std::string_view form, const Captures& captures,
                   std::size_t longest = k_longest_capture) {
  std::string out;
  for_parts(
      form, [&](std::string_view text) { out += text; },
      [&](std::string_view name, std::optional<std::string_view> otherwise) {
        const auto value = captures.find(name);
        out += value == captures.end() ? std::string(otherwise.value_or(""))
                                       : printable_line(value->second, longest);
      });
  return out;
}

/// What to do stands at the end of a sentence, so its quotes become shorter.
std::string filled_within(std::size_t limit, std::string_view form, const Captures& captures) {
  std::size_t longest = k_longest_capture;
  std::string out = filled(form, captures, longest);
  while (longest > k_shortest_capture && truncate_characters(out, limit) != out) {
    out = filled(form, captures, --longest);
  }
  return truncate_characters(out, k_customer_limit);
}

// --- Reading the file.

std::unexpected<Error> bad_rule(std::string_view rule, std::string_view why) {
  return failure(ErrorKind::invalid_input, fmt::format("rule {}: {}", rule, why));
}

std::optional<Category> category_of(std::string_view word) {
  for (const Category category : {Category::customer, Category::platform, Category::network}) {
    if (to_string(category) == word) {
      return category;
    }
  }
  return std::nullopt;
}

Result<std::vector<std::string>> texts(const toml::table& entry, std::string_view key) {
  std::vector<std::string> list;
  const toml::node* node = entry.get(key);
  if (node == nullptr) {
    return list;
  }
  if (const auto* text = node->as_string()) {
    list.push_back(text->get());
    return list;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty()) {
    return failure(ErrorKind::invalid_input, fmt::format("'{}' is no list of texts", key));
  }
  for (const toml::node& each : *array) {
    const auto* text = each.as_string();
    if (text == nullptr) {
      return failure(ErrorKind::invalid_input, fmt::format("'{}' is no list of texts", key));
    }
    list.push_back(text->get());
  }
  return list;
}

Result<std::vector<LinePattern>> patterns(const toml::table& entry, std::string_view key) {
  BUILDER_TRY_ASSIGN(const std::vector<std::string> list, texts(entry, key));
  std::vector<LinePattern> out;
  for (const std::string& text : list) {
    BUILDER_TRY_ASSIGN(LinePattern pattern, LinePattern::parse(text));
    out.push_back(std::move(pattern));
  }
  return out;
}

/// Names that are captured whenever the rule fits.
std::set<std::string, std::less<>> certain_names(const Rule& rule) {
  std::set<std::string, std::less<>> names;
  for (const LinePattern& pattern : rule.all) {
    for (std::string& name : pattern.names()) {
      names.insert(std::move(name));
    }
  }
  for (const auto* list : {&rule.any, &rule.error}) {
    std::map<std::string, std::size_t, std::less<>> counts;
    for (const LinePattern& pattern : *list) {
      for (const std::string& name : pattern.names()) {
        ++counts[name];
      }
    }
    for (const auto& [name, count] : counts) {
      if (count == list->size()) {
        names.insert(name);
      }
    }
  }
  return names;
}

/// Empty: nothing is wrong with the form of a sentence.
std::string fault_of(std::string_view form, const Rule& rule) {
  const auto names = certain_names(rule);
  std::string fault;
  const bool is_closed = for_parts(
      form, [](std::string_view) {},
      [&](std::string_view name, std::optional<std::string_view> otherwise) {
        if (!otherwise && !names.contains(name)) {
          fault = fmt::format("{{{}}} is not captured by every pattern; write {{{}|what else}}",
                              name, name);
        }
      });
  return !is_closed ? "a { lacks its }" : form.empty() ? "a text is missing" : fault;
}

Result<> read_patterns(const toml::table& entry, Rule& rule) {
  BUILDER_TRY_ASSIGN(rule.error, patterns(entry, "error"));
  BUILDER_TRY_ASSIGN(rule.all, patterns(entry, "all"));
  BUILDER_TRY_ASSIGN(rule.any, patterns(entry, "any"));
  BUILDER_TRY_ASSIGN(rule.none, patterns(entry, "none"));
  BUILDER_TRY_ASSIGN(rule.more, patterns(entry, "more"));
  BUILDER_TRY_ASSIGN(rule.step, texts(entry, "step"));
  for (std::string& word : rule.step) {
    word = lower_case(word);
  }
  return {};
}

Result<Rule> read_rule(const toml::table& entry) {
  Rule rule;
  rule.name = entry["name"].value_or(std::string());
  const bool is_name = !rule.name.empty() && std::ranges::all_of(rule.name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!is_name) {
    return bad_rule(rule.name.empty() ? "without a name" : rule.name,
                    "a name has small letters, digits and dashes");
  }
  for (const auto& [key, value] : entry) {
    if (std::ranges::find(k_keys, key.str()) == std::end(k_keys)) {
      return bad_rule(rule.name, fmt::format("there is no key '{}'", key.str()));
    }
  }
  const auto category = category_of(entry["category"].value_or(std::string()));
  if (!category) {
    return bad_rule(rule.name, "the category is customer, platform or network");
  }
  rule.category = *category;
  if (const auto read = read_patterns(entry, rule); !read) {
    return bad_rule(rule.name, read.error().message);
  }
  rule.ending = entry["ending"].value_or(std::string());
  rule.lines =
      std::clamp<std::size_t>(static_cast<std::size_t>(std::max<std::int64_t>(
                                  entry["lines"].value_or<std::int64_t>(k_default_lines), 1)),
                              1, k_most_lines);
  if (const toml::array* codes = entry["exit"].as_array()) {
    for (const toml::node& code : *codes) {
      rule.exit_codes.push_back(code.value_or(-1));
    }
  }
  if (rule.ending.empty() && rule.exit_codes.empty() && rule.error.empty() && rule.all.empty() &&
      rule.any.empty()) {
    return bad_rule(rule.name, "it fits every failure");
  }
  rule.sentence = entry["sentence"].value_or(std::string());
  rule.suggestion = entry["suggestion"].value_or(std::string());
  for (const std::string_view form : {rule.sentence, rule.suggestion}) {
    if (const std::string fault = fault_of(form, rule); !fault.empty()) {
      return bad_rule(rule.name, fault);
    }
  }
  return rule;
}

}  // namespace

std::string_view to_string(Category category) {
  switch (category) {
    case Category::customer:
      return "customer";
    case Category::platform:
      return "platform";
    case Category::network:
      break;
  }
  return "network";
}

Result<FailureRules> FailureRules::parse(std::string_view text) {
  BUILDER_TRY_ASSIGN(const toml::table root, buildpacks::parse_toml(text));
  const toml::array* list = root["rule"].as_array();
  if (list == nullptr) {
    return failure(ErrorKind::invalid_input, "there are no rules");
  }
  std::vector<Rule> rules;
  std::set<std::string> names;
  for (const toml::node& node : *list) {
    const toml::table* entry = node.as_table();
    if (entry == nullptr) {
      return failure(ErrorKind::invalid_input, "a rule is no table");
    }
    BUILDER_TRY_ASSIGN(Rule rule, read_rule(*entry));
    if (!names.insert(rule.name).second) {
      return bad_rule(rule.name, "another rule has this name");
    }
    rules.push_back(std::move(rule));
  }
  BUILDER_TRY_ASSIGN(std::vector<LinePattern> ended_well, patterns(root, "ended_well"));
  return FailureRules(std::move(rules), std::move(ended_well));
}

std::optional<Explanation> FailureRules::explain(const Failure& failure) const {
  std::string_view output = failure.output;
  if (output.size() >= k_most_output) {
    // The rest of a line, which may begin in a secret, is none.
    output.remove_prefix(output.size() - k_most_output);
    output.remove_prefix(std::min(output.find('\n'), output.size()));
  }
  const auto redactor = failure.redactor != nullptr
                            ? failure.redactor
                            : std::make_shared<const Redactor>(std::vector<NamedSecret>());
  const std::vector<Line> lines = behind_last(ended_well_, lines_of(output, redactor));
  const std::vector<Line> error = lines_of(failure.error, redactor);
  const std::string step = lower_case(failure.step);
  for (const Rule& rule : rules_) {
    Captures captures;
    if (fits(rule, failure, step, lines, error, captures)) {
      return Explanation{.reason = rule.name,
                         .category = rule.category,
                         .sentence = filled_within(k_customer_limit, rule.sentence, captures),
                         .brief = filled_within(k_brief, rule.sentence, captures),
                         .suggestion = filled(rule.suggestion, captures)};
    }
  }
  return std::nullopt;
}

const FailureRules& failure_rules() {
  static const FailureRules rules = [] {
    auto parsed = FailureRules::parse(k_rules_text);
    BUILDER_CHECK(parsed.has_value());
    return *std::move(parsed);
  }();
  return rules;
}

std::string with_sentence(std::string_view line, std::string_view last_words,
                          const Explanation& why) {
  constexpr std::string_view k_pointer = "; see its output above";
  constexpr std::size_t k_short_command = 20;
  constexpr std::size_t k_shortest_command = 8;
  const bool points = line.ends_with(k_pointer);
  if (last_words.empty() && !points) {
    return std::string(line);
  }
  std::string out(line.substr(0, line.size() - (points ? k_pointer.size() : 0)));
  const std::size_t open = out.find('"');
  const std::size_t close = out.rfind('"');
  const std::size_t length = open == close ? 0 : close - open - 1;
  const std::size_t shortest = out.size() - (length - std::min(length, k_short_command));
  const bool fits = shortest + 2 + why.sentence.size() <= k_customer_limit;
  const std::string& sentence = fits ? why.sentence : why.brief;
  const std::size_t room = k_customer_limit - std::min(k_customer_limit, sentence.size() + 2);
  if (out.size() > room && length > 0) {
    const std::size_t excess = out.size() - room;
    out.replace(open + 1, length,
                truncate_characters(std::string_view(out).substr(open + 1, length),
                                    std::max(length - std::min(length, excess + 3),
                                             std::min(length, k_shortest_command))));
  }
  return out + ": " + sentence;
}

}  // namespace builder::domain::failures
