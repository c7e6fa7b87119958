#pragma once

#include "base/result.hpp"
#include "domain/deployment_request.hpp"
#include "domain/knobs/build_knobs.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::knobs {

/// Where the file lies unless the customer says otherwise.
inline constexpr std::string_view k_default_file = "deployra.toml";
inline constexpr std::size_t k_largest_file = 64 * 1024;

/// All there are, sorted: in the file they are keys of `[build]`.
std::vector<std::string_view> knob_names();

/// The variable of the service that decides a knob, by the knob's name: `DEPLOYRA_BUILD_TARGET`.
std::string_view variable_of(std::string_view knob);

/// What an operator wrote: `all`, `none` or names of knobs, with commas between them; `timeout` and
/// `silence_timeout` also with a limit of their own (`all,timeout=2h`). The message of an error
/// stands behind the name of the setting.
Result<KnobRules> read_rules(std::string_view text);

/// Whether the variable is a knob (`DEPLOYRA_BUILD_TARGET`) or names the file: neither the app nor
/// `.env` gets it.
bool is_knob_variable(std::string_view name);

/// The variables that go on to the app and its build: all that are no knobs, and those knobs that
/// `asked_for` lists.
std::vector<EnvironmentVariable> passed_on(const std::vector<EnvironmentVariable>& variables,
                                           const Assignments& asked_for = {});

/// With the values of the variables that are listed; one that the service does not have is left
/// out.
std::vector<EnvironmentVariable> resolved(const Assignments& assignments,
                                          const std::vector<EnvironmentVariable>& variables);

/// Those without a value, and those with one.
std::set<std::string> listed_names(const Assignments& assignments);
std::map<std::string, std::string> given_values(const Assignments& assignments);

/// Where the customer says the file is (`DEPLOYRA_BUILD_CONFIG`); nullopt: nowhere. `invalid_input`
/// with the customer's line when the path leaves the repository.
Result<std::optional<Chosen<std::string>>> file_named_in(
    const std::vector<EnvironmentVariable>& variables);

/// The knobs among a service's variables. Of equal names the last one counts; an empty one says
/// nothing. `invalid_input` with the customer's line, which begins with the name of the variable,
/// for a value that cannot be used and for what the rules forbid.
Result<BuildKnobs> read_variables(const std::vector<EnvironmentVariable>& variables,
                                  const KnobRules& rules);

/// A line for the customer for each variable that looks like a misspelt knob.
std::vector<std::string> misspelt(const std::vector<EnvironmentVariable>& variables);

/// The knobs in a deployra.toml: keys of its table `[build]`. `path` is what the file is called.
/// `invalid_input` with the customer's line, which begins with path and line, for what is no TOML,
/// an unknown key, a value of the wrong type or one that cannot be used, and for what the rules
/// forbid.
Result<BuildKnobs> read_file(std::string_view path, std::string_view content,
                             const KnobRules& rules);

}  // namespace builder::domain::knobs
