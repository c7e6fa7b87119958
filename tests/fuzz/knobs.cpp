// A deployra.toml, and the variables that say the same, are read or refused with a short line. What
// was read keeps inside the repository and steers nothing that is BuildKit's own.
#include "domain/customer_line.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "domain/relative_path.hpp"
#include "domain/variable_delivery.hpp"

#include "fuzz/target.hpp"

namespace builder::domain::knobs {

namespace {

void check(const Result<BuildKnobs>& read) {
  if (!read) {
    const std::string& line = read.error().customer;
    fuzz::expect(!line.empty() && customer_line(line) == line && !line.contains('\n'),
                 "no short line for the customer");
    return;
  }
  for (const auto* path : {&read->context, &read->dockerfile}) {
    fuzz::expect(!*path || (*path)->value.empty() ||
                     clean_relative_path((*path)->value).value_or("") == (*path)->value,
                 "a path that is not clean");
  }
  for (const auto& [name, value] : read->args) {
    fuzz::expect(is_argument_name(name), "an argument that steers the frontend");
  }
  fuzz::expect(merged(*read, {}) == *read, "merging with nothing changes something");
  for (const ShownKnob& knob : shown(*read)) {
    fuzz::expect(!knob.value.contains('\n') && !knob.where.contains('\n'), "more than a line");
  }
  if (read->ignored_paths) {
    ChangeFilter filter(read->ignored_paths->value, 1'000'000);
    static_cast<void>(filter.concerns("docs/a/b.md"));
  }
}

}  // namespace

BUILDER_FUZZ(knobs) {
  KnobRules rules{.longest_timeout = std::chrono::minutes(30)};
  std::vector<EnvironmentVariable> variables;
  for (const std::string_view name : knob_names()) {
    rules.allowed.emplace(name);
    std::string variable = "DEPLOYRA_BUILD_";
    for (const char c : name) {
      variable += c == '_' ? '_' : static_cast<char>(c - 'a' + 'A');
    }
    check(read_variables({{.key = variable, .value = std::string(input)}}, rules));
    variables.push_back({.key = std::move(variable), .value = std::string(input)});
  }
  check(read_file("deployra.toml", input, rules));
  check(read_variables(variables, rules));
}

}  // namespace builder::domain::knobs
