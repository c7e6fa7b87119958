#include "domain/knobs/knob_readers.hpp"

#include "base/ascii.hpp"
#include "base/duration.hpp"
#include "base/spelling.hpp"
#include "base/text.hpp"
#include "domain/base_image.hpp"
#include "domain/buildpacks/toml.hpp"
#include "domain/customer_line.hpp"
#include "domain/platform_name.hpp"
#include "domain/relative_path.hpp"
#include "domain/variable_delivery.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <utility>

namespace builder::domain::knobs {

namespace {

constexpr std::string_view k_file_variable = "DEPLOYRA_BUILD_CONFIG";
constexpr std::size_t k_most_entries = 1000;
constexpr std::size_t k_longest_text = 4096;  // As a path.
/// As what an engine is told of a build has to fit into one message.
constexpr std::size_t k_longest_value = 64 * 1024;
constexpr std::size_t k_shown = 40;  // Characters of what a customer typed.
constexpr std::size_t k_shown_path = 60;

/// How a knob is written.
enum class Form { text, flag, list, assignments };

/// A knob as it was written, before anybody has looked at what it means. In the file it has the
/// type of its form; a variable's text was divided.
struct Written {
  std::string name;
  std::string where;    ///< As of `Chosen`.
  std::string subject;  ///< What a complaint begins with.
  /// One of a text, one of a flag (`true`, `false`), any number of others. An assignment is `NAME`
  /// or `NAME=VALUE`.
  std::vector<Chosen<std::string>> values;

  [[nodiscard]] const std::string& text() const { return values.front().value; }
};

std::unexpected<Error> bad(const std::string& line) {
  return std::unexpected(
      Error{.kind = ErrorKind::invalid_input, .message = line, .customer = customer_line(line)});
}

std::unexpected<Error> bad(const Written& written, std::string_view what) {
  return bad(fmt::format("{} {}", written.subject, what));
}

std::string in_quotes(std::string_view text) {
  return fmt::format("'{}'", printable_line(text, k_shown));
}

Result<Chosen<std::string>> path_of(const Written& written, bool may_be_root) {
  std::string_view path = written.text();
  while (path.starts_with("./")) {
    path.remove_prefix(2);
  }
  if (may_be_root && (path.empty() || path == ".")) {
    return Chosen<std::string>{.value = {}, .where = written.where};
  }
  auto cleaned = path.contains('\\') ? failure(ErrorKind::invalid_input, "backslash")
                                     : clean_relative_path(path);
  if (!cleaned) {
    return bad(written, fmt::format("is {}, which is no path in the repository; write one from its "
                                    "root, like apps/web",
                                    in_quotes(path)));
  }
  return Chosen<std::string>{.value = *std::move(cleaned), .where = written.where};
}

template <class Value>
Result<Chosen<Value>> choice_of(const Written& written,
                                std::initializer_list<std::pair<std::string_view, Value>> choices) {
  std::string words;
  for (const auto& [word, value] : choices) {
    if (written.text() == word) {
      return Chosen<Value>{.value = value, .where = written.where};
    }
    words += fmt::format("{}\"{}\"", words.empty() ? "" : " or ", word);
  }
  return bad(written, fmt::format("is {}; it must be {}", in_quotes(written.text()), words));
}

/// Docker's rule for names of stages, and their numbers.
Result<Chosen<std::string>> target_of(const Written& written) {
  constexpr std::size_t k_longest_name = 128;
  const std::string& name = written.text();
  const bool is_name = std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
  if (!is_name || name.empty() || name.size() > k_longest_name) {
    return bad(written,
               fmt::format("is {}, which is no name of a stage: FROM … AS NAME", in_quotes(name)));
  }
  return Chosen<std::string>{.value = name, .where = written.where};
}

Result<Chosen<std::string>> platform_of(const Written& written) {
  if (const std::string fault = platform_list_fault(written.text()); !fault.empty()) {
    return bad(written, fmt::format("is {}: {}", in_quotes(written.text()),
                                    written.text().empty() ? "name one, like linux/amd64" : fault));
  }
  return Chosen<std::string>{.value = written.text(), .where = written.where};
}

Result<Chosen<std::string>> image_of(const Written& written) {
  const std::string& image = written.text();
  const bool is_image =
      std::ranges::all_of(image, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!is_image || image.empty() || image.size() > k_longest_reference) {
    return bad(written, fmt::format("is {}, which is no name of an image", in_quotes(image)));
  }
  return Chosen<std::string>{.value = image, .where = written.where};
}

/// `longest` zero: as long as one likes.
Result<Chosen<std::chrono::seconds>> time_of(const Written& written, std::chrono::seconds longest) {
  const auto time = parse_duration(written.text());
  if (!time || time->count() == 0) {
    return bad(written,
               fmt::format("is {}; it must be a time such as \"90s\", \"30m\" or \"2h\", a week at "
                           "most",
                           in_quotes(written.text())));
  }
  if (longest.count() != 0 && *time > longest) {
    return bad(written, fmt::format("is {}, and may be {} at most here; write less, or ask the "
                                    "operator for a higher limit",
                                    builder::in_words(*time), builder::in_words(longest)));
  }
  return Chosen<std::chrono::seconds>{.value = *time, .where = written.where};
}

Result<Chosen<CacheSharing>> sharing_of(const Written& written, CacheSharing widest) {
  BUILDER_TRY_ASSIGN(auto chosen,
                     choice_of<CacheSharing>(written, {{"service", CacheSharing::service},
                                                       {"organization", CacheSharing::organization},
                                                       {"all", CacheSharing::all}}));
  if (chosen.value > widest) {
    return bad(written, fmt::format("is \"{}\", which is wider than this platform shares caches",
                                    written.text()));
  }
  return chosen;
}

Result<Assignments> assignments_of(const Written& written, bool are_arguments) {
  Assignments assignments;
  for (const auto& [text, where] : written.values) {
    const std::size_t equals = text.find('=');
    std::string name = text.substr(0, equals);
    const std::string subject =
        where == written.where ? written.subject : fmt::format("{}: \"{}\"", where, written.name);
    if (name.empty() || (are_arguments && !is_argument_name(name))) {
      return bad(fmt::format(
          "{}: {}", subject,
          name.empty() ? "an entry begins with its name: NAME, or NAME=VALUE"
                       : in_quotes(name) + (is_reserved_argument(name)
                                                ? " steers BuildKit itself and cannot be set"
                                                : " is no name of an ARG: letters, digits and _")));
    }
    std::optional<std::string> value;
    if (equals != std::string::npos) {
      value = text.substr(equals + 1);
      if (value->contains('\0') || value->size() > k_longest_value) {
        return bad(fmt::format("{}: the value of {} holds a NUL, or more than 64 KiB", subject,
                               in_quotes(name)));
      }
    }
    assignments.insert_or_assign(
        std::move(name), Assignments::mapped_type{.value = std::move(value), .where = where});
  }
  return assignments;
}

struct Row {
  std::string_view name;      ///< In the file.
  std::string_view variable;  ///< Of the service.
  Form form;
  Result<> (*take)(BuildKnobs& knobs, const Written& written, const KnobRules& rules);
};

/// Puts what was understood where it belongs.
template <class Target, class Value>
Result<> put(Target& target, Result<Value> value) {
  BUILDER_TRY_ASSIGN(target, std::move(value));
  return {};
}

using W = const Written&;
using R = const KnobRules&;

/// Sorted.
constexpr std::array k_rows{
    Row{"args", "DEPLOYRA_BUILD_ARGS", Form::assignments,
        [](BuildKnobs& knobs, W w, R) { return put(knobs.args, assignments_of(w, true)); }},
    Row{"base_images", "DEPLOYRA_BUILD_BASE_IMAGES", Form::text,
        [](BuildKnobs& knobs, W w, R) {
          return put(knobs.base_images, choice_of<BaseImages>(w, {{"latest", BaseImages::latest},
                                                                  {"pinned", BaseImages::pinned}}));
        }},
    Row{"builder", "DEPLOYRA_BUILD_BUILDER", Form::text,
        [](BuildKnobs& knobs, W w, R) {
          return put(knobs.builder,
                     choice_of<BuilderKind>(w, {{"dockerfile", BuilderKind::dockerfile},
                                                {"buildpacks", BuilderKind::buildpacks}}));
        }},
    Row{"builder_image", "DEPLOYRA_BUILD_BUILDER_IMAGE", Form::text,
        [](BuildKnobs& knobs, W w, R) { return put(knobs.builder_image, image_of(w)); }},
    Row{"cache_sharing", "DEPLOYRA_BUILD_CACHE_SHARING", Form::text,
        [](BuildKnobs& knobs, W w, R rules) {
          return put(knobs.cache_sharing, sharing_of(w, rules.widest_sharing));
        }},
    Row{"context", "DEPLOYRA_BUILD_CONTEXT", Form::text,
        [](BuildKnobs& knobs, W w, R) { return put(knobs.context, path_of(w, true)); }},
    Row{"dockerfile", "DEPLOYRA_BUILD_DOCKERFILE", Form::text,
        [](BuildKnobs& knobs, W w, R) { return put(knobs.dockerfile, path_of(w, false)); }},
    Row{"env", "DEPLOYRA_BUILD_ENV", Form::assignments,
        [](BuildKnobs& knobs, W w, R) { return put(knobs.env, assignments_of(w, false)); }},
    Row{"force", "DEPLOYRA_BUILD_FORCE", Form::flag,
        [](BuildKnobs& knobs, W w, R) {
          return put(knobs.force, choice_of<bool>(w, {{"true", true}, {"false", false}}));
        }},
    Row{"ignored_paths", "DEPLOYRA_BUILD_IGNORED_PATHS", Form::list,
        [](BuildKnobs& knobs, W w, R) {
          Chosen<std::vector<std::string>> paths{.where = w.where};
          for (const auto& value : w.values) {
            paths.value.push_back(value.value);
          }
          knobs.ignored_paths = std::move(paths);
          return Result<>();
        }},
    Row{"no_cache", "DEPLOYRA_BUILD_NO_CACHE", Form::flag,
        [](BuildKnobs& knobs, W w, R) {
          return put(knobs.no_cache, choice_of<bool>(w, {{"true", true}, {"false", false}}));
        }},
    Row{"platform", "DEPLOYRA_BUILD_PLATFORM", Form::text,
        [](BuildKnobs& knobs, W w, R) { return put(knobs.platform, platform_of(w)); }},
    Row{"silence_timeout", "DEPLOYRA_BUILD_SILENCE_TIMEOUT", Form::text,
        [](BuildKnobs& knobs, W w, R rules) {
          return put(knobs.silence_timeout, time_of(w, rules.longest_silence));
        }},
    Row{"target", "DEPLOYRA_BUILD_TARGET", Form::text,
        [](BuildKnobs& knobs, W w, R) { return put(knobs.target, target_of(w)); }},
    Row{"timeout", "DEPLOYRA_BUILD_TIMEOUT", Form::text,
        [](BuildKnobs& knobs, W w, R rules) {
          return put(knobs.timeout, time_of(w, rules.longest_timeout));
        }},
};

const Row* row_of(std::string_view name) {
  const auto* const row = std::ranges::find(k_rows, name, &Row::name);
  return row == k_rows.end() ? nullptr : &*row;
}

/// Limits of all values, whatever they mean.
Result<> take(BuildKnobs& knobs, const Row& row, const Written& written, const KnobRules& rules) {
  if (!rules.allowed.contains(row.name)) {
    return bad(written,
               "may not be set on this platform; remove it, or ask the operator to allow it");
  }
  if (written.values.size() > k_most_entries) {
    return bad(written, fmt::format("has more than {} entries", k_most_entries));
  }
  const bool is_long =
      row.form != Form::assignments && std::ranges::any_of(written.values, [](const auto& value) {
        return value.value.size() > k_longest_text || value.value.contains('\0');
      });
  if (is_long) {
    return bad(written, fmt::format("is longer than {} bytes, or holds a NUL", k_longest_text));
  }
  return row.take(knobs, written, rules);
}

// --- variables ---

std::vector<Chosen<std::string>> divided(std::string_view text, std::string_view separators,
                                         const std::string& where) {
  constexpr std::string_view k_blank = " \t\r";
  std::vector<Chosen<std::string>> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    const std::string_view part = trimmed(text.substr(0, end), k_blank);
    if (!part.empty()) {
      parts.push_back({.value = std::string(part), .where = where});
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::vector<Chosen<std::string>> values_of(const Row& row, const std::string& text,
                                           const std::string& where) {
  if (row.form == Form::list) {
    return divided(text, ",\n", where);
  }
  if (row.form == Form::assignments) {
    return divided(text, ", \t\r\n", where);
  }
  auto values = divided(text, "\n", where);
  values.resize(std::min<std::size_t>(values.size(), 1));
  if (row.form == Form::flag && !values.empty()) {
    std::string& flag = values.front().value;
    flag = flag == "1" ? "true" : flag == "0" ? "false" : lower_case(flag);
  }
  return values;
}

/// The value of the last variable of that name; null: there is none.
const std::string* last_value(const std::vector<EnvironmentVariable>& variables,
                              std::string_view name) {
  const auto last = std::find_if(variables.rbegin(), variables.rend(),
                                 [&](const EnvironmentVariable& each) { return each.key == name; });
  return last == variables.rend() ? nullptr : &last->value;
}

// --- the file ---

class FileReader {
 public:
  FileReader(std::string_view path, const KnobRules& rules)
      : path_(printable_line(path, k_shown_path)), rules_(rules) {}

  Result<BuildKnobs> read(const toml::table& root) const {
    BuildKnobs knobs;
    for (const auto& [key, node] : buildpacks::in_order(root)) {
      const toml::table* const build = node->as_table();
      if (key->str() != "build" || build == nullptr) {
        return bad(fmt::format("{}: \"{}\" {}", place(*key), printable_line(key->str(), k_shown),
                               key->str() == "build" ? "must be a table: [build]"
                               : row_of(key->str()) != nullptr
                                   ? "belongs below the line [build]"
                                   : "is not known here; the only table is [build]"));
      }
      for (const auto& [name, value] : buildpacks::in_order(*build)) {
        BUILDER_TRY(take_key(knobs, *name, *value));
      }
    }
    return knobs;
  }

 private:
  template <class Part>
  [[nodiscard]] std::string place(const Part& part) const {
    return fmt::format("{}:{}", path_, part.source().begin.line);
  }

  Result<> take_key(BuildKnobs& knobs, const toml::key& key, const toml::node& node) const {
    const std::string_view name = key.str();
    const Row* const row = row_of(name);
    Written written{.name = std::string(name), .where = place(key)};
    written.subject = fmt::format("{}: \"{}\"", written.where, printable_line(name, k_shown));
    if (row == nullptr) {
      const std::string meant = nearest_word(name, knob_names());
      return bad(written, meant.empty()
                              ? fmt::format("is none of {}", fmt::join(knob_names(), " "))
                              : fmt::format("is no key of [build]; did you mean \"{}\"?", meant));
    }
    BUILDER_TRY(read_values(written, row->form, node));
    return take(knobs, *row, written, rules_);
  }

  Result<> read_values(Written& written, Form form, const toml::node& node) const {
    switch (form) {
      case Form::text:
        if (const auto* text = node.as_string()) {
          written.values.push_back({.value = text->get(), .where = written.where});
          return {};
        }
        return bad(written, "must be a text in quotes");
      case Form::flag:
        if (const auto* flag = node.as_boolean()) {
          written.values.push_back(
              {.value = flag->get() ? "true" : "false", .where = written.where});
          return {};
        }
        return bad(written, "must be true or false, without quotes");
      case Form::list:
        return read_list(written, node, "a list of texts: [\"docs/\", \"*.md\"]");
      case Form::assignments:
        return node.is_table() ? read_table(written, *node.as_table())
                               : read_list(written, node,
                                           "a table {NAME = \"value\"}, or a list of names of the "
                                           "service's variables: [\"NAME\"]");
    }
    return {};
  }

  Result<> read_list(Written& written, const toml::node& node, std::string_view expected) const {
    const toml::array* const array = node.as_array();
    const bool fits = array != nullptr && array->size() <= k_most_entries;
    for (std::size_t i = 0; fits && i < array->size(); ++i) {
      const auto* const text = (*array)[i].as_string();
      if (text == nullptr) {
        return bad(
            fmt::format("{}: \"{}\" must be {}", place((*array)[i]), written.name, expected));
      }
      written.values.push_back({.value = text->get(), .where = place((*array)[i])});
    }
    return fits ? Result<>()
           : array != nullptr
               ? bad(written, fmt::format("has more than {} entries", k_most_entries))
               : bad(written, fmt::format("must be {}", expected));
  }

  Result<> read_table(Written& written, const toml::table& table) const {
    for (const auto& [key, node] : buildpacks::in_order(table)) {
      const auto* const text = node->as_string();
      if (text == nullptr || key->str().contains('=')) {
        return bad(fmt::format("{}: the value of \"{}\" in \"{}\" must be a text in quotes",
                               place(*key), printable_line(key->str(), k_shown), written.name));
      }
      written.values.push_back(
          {.value = fmt::format("{}={}", key->str(), text->get()), .where = place(*key)});
    }
    return {};
  }

  const std::string path_;
  const KnobRules& rules_;
};

}  // namespace

std::set<std::string> listed_names(const Assignments& assignments) {
  std::set<std::string> names;
  for (const auto& [name, chosen] : assignments) {
    if (!chosen.value) {
      names.insert(name);
    }
  }
  return names;
}

std::map<std::string, std::string> given_values(const Assignments& assignments) {
  std::map<std::string, std::string> values;
  for (const auto& [name, chosen] : assignments) {
    if (chosen.value) {
      values.emplace(name, *chosen.value);
    }
  }
  return values;
}

std::vector<std::string_view> knob_names() {
  std::vector<std::string_view> names;
  std::ranges::transform(k_rows, std::back_inserter(names), &Row::name);
  return names;
}

std::string_view variable_of(std::string_view knob) {
  const Row* const row = row_of(knob);
  return row == nullptr ? std::string_view() : row->variable;
}

Result<KnobRules> read_rules(std::string_view text) {
  KnobRules rules;
  const auto bad_word = [](std::string_view word) {
    return failure(
        ErrorKind::invalid_input,
        fmt::format("'{}' is not among all, none, timeout=TIME, silence_timeout=TIME, {}",
                    printable_line(word, k_shown), fmt::join(knob_names(), ", ")));
  };
  for (const auto& [word, where] : divided(text, ", ", {})) {
    const std::string_view name = std::string_view(word).substr(0, word.find('='));
    const auto limit =
        parse_duration(std::string_view(word).substr(std::min(name.size() + 1, word.size())));
    if (word == "all") {
      for (const Row& row : k_rows) {
        rules.allowed.emplace(row.name);
      }
    } else if (name.size() == word.size() && row_of(name) != nullptr) {
      rules.allowed.emplace(name);
    } else if (limit && (name == "timeout" || name == "silence_timeout")) {
      rules.allowed.emplace(name);
      (name == "timeout" ? rules.longest_timeout : rules.longest_silence) = *limit;
    } else if (word != "none") {
      return bad_word(word);
    }
  }
  return rules;
}

bool is_knob_variable(std::string_view name) {
  return name == k_file_variable || std::ranges::find(k_rows, name, &Row::variable) != k_rows.end();
}

std::vector<EnvironmentVariable> passed_on(const std::vector<EnvironmentVariable>& variables,
                                           const Assignments& asked_for) {
  std::vector<EnvironmentVariable> rest;
  std::ranges::copy_if(variables, std::back_inserter(rest), [&](const EnvironmentVariable& each) {
    const auto asked = asked_for.find(each.key);
    return !is_knob_variable(each.key) || (asked != asked_for.end() && !asked->second.value);
  });
  return rest;
}

std::vector<EnvironmentVariable> resolved(const Assignments& assignments,
                                          const std::vector<EnvironmentVariable>& variables) {
  std::vector<EnvironmentVariable> values;
  for (const auto& [name, chosen] : assignments) {
    const std::string* const value = chosen.value ? &*chosen.value : last_value(variables, name);
    if (value != nullptr) {
      values.push_back({.key = name, .value = *value});
    }
  }
  return values;
}

Result<std::optional<Chosen<std::string>>> file_named_in(
    const std::vector<EnvironmentVariable>& variables) {
  const std::string name(k_file_variable);
  const std::string* const value = last_value(variables, name);
  Written written{.name = "config", .where = name, .subject = name};
  written.values = value == nullptr ? written.values : divided(*value, "\n", name);
  if (written.values.empty()) {
    return std::nullopt;
  }
  BUILDER_TRY_ASSIGN(auto path, path_of(written, false));
  return path;
}

Result<BuildKnobs> read_variables(const std::vector<EnvironmentVariable>& variables,
                                  const KnobRules& rules) {
  BuildKnobs knobs;
  for (const Row& row : k_rows) {
    const std::string name(row.variable);
    const std::string* const value = last_value(variables, name);
    if (value == nullptr) {
      continue;
    }
    Written written{.name = std::string(row.name), .where = name, .subject = name};
    written.values = values_of(row, *value, name);
    if (!written.values.empty()) {
      BUILDER_TRY(take(knobs, row, written, rules));
    }
  }
  return knobs;
}

std::vector<std::string> misspelt(const std::vector<EnvironmentVariable>& variables) {
  constexpr std::string_view k_prefix = "DEPLOYRA_BUILD_";
  std::vector<std::string_view> known{k_file_variable.substr(k_prefix.size())};
  for (const Row& row : k_rows) {
    known.push_back(row.variable.substr(k_prefix.size()));
  }
  std::set<std::string> lines;
  for (const EnvironmentVariable& variable : variables) {
    if (!variable.key.starts_with(k_prefix) || is_knob_variable(variable.key)) {
      continue;
    }
    const std::string name = upper_case(variable.key.substr(k_prefix.size()));
    if (const std::string meant = nearest_word(name, known); !meant.empty()) {
      lines.insert(fmt::format("The variable {} says nothing to the build; is {}{} meant?",
                               printable_line(variable.key, k_shown_path), k_prefix, meant));
    }
  }
  return {lines.begin(), lines.end()};
}

Result<BuildKnobs> read_file(std::string_view path, std::string_view content,
                             const KnobRules& rules) {
  const auto parsed = buildpacks::parse_toml(content);
  if (!parsed) {
    return bad(fmt::format("{}: {}", printable_line(path, k_shown_path), parsed.error().message));
  }
  return FileReader(path, rules).read(*parsed);
}

}  // namespace builder::domain::knobs
