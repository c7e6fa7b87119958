#include "domain/variable_delivery.hpp"

#include "base/ascii.hpp"
#include "domain/request_secrets.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <set>

namespace builder::domain {

namespace {

/// BuildKit's own limit for a secret (session/secrets: MaxSecretSize).
constexpr std::size_t k_largest_secret = 500 * 1024;

/// Given without a declaration, or read by the frontend itself:
/// https://docs.docker.com/reference/dockerfile/#predefined-args and what follows there.
constexpr std::array<std::string_view, 15> k_predefined{
    "HTTP_PROXY",     "HTTPS_PROXY", "FTP_PROXY",    "NO_PROXY",      "ALL_PROXY",
    "TARGETPLATFORM", "TARGETOS",    "TARGETARCH",   "TARGETVARIANT", "BUILDPLATFORM",
    "BUILDOS",        "BUILDARCH",   "BUILDVARIANT", "TARGETSTAGE",   "SOURCE_DATE_EPOCH"};

bool is_identifier(std::string_view name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
         std::ranges::all_of(name,
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

/// An ARG becomes a part of every later step's environment.
bool steers_programs(std::string_view name) {
  constexpr std::array<std::string_view, 6> k_names{"PATH",  "HOME", "USER",
                                                    "SHELL", "PWD",  "HOSTNAME"};
  return name.starts_with("LD_") || std::ranges::find(k_names, name) != k_names.end();
}

/// Bundlers write these into what every browser gets.
bool is_for_browsers(std::string_view name) {
  constexpr std::array<std::string_view, 9> k_prefixes{
      "NEXT_PUBLIC_", "VITE_",   "REACT_APP_", "VUE_APP_", "EXPO_PUBLIC_",
      "NUXT_PUBLIC_", "GATSBY_", "NG_APP_",    "PUBLIC_"};
  return std::ranges::any_of(k_prefixes,
                             [name](std::string_view prefix) { return name.starts_with(prefix); });
}

/// It can be the `id` of a mount.
bool is_id(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
}

bool is_of_the_build(std::string_view name) {
  return name == k_build_arguments || name == k_build_environment || name == k_build_force;
}

bool looks_secret(const EnvironmentVariable& variable) {
  DeploymentRequest alone;
  alone.environment = {variable};
  return !secrets_of(alone).empty();
}

/// The names in the value of the last variable of that name.
std::set<std::string> names_in(const std::vector<EnvironmentVariable>& variables,
                               std::string_view list) {
  std::set<std::string> names;
  for (const EnvironmentVariable& variable : variables) {
    if (variable.key != list) {
      continue;
    }
    names.clear();
    std::string_view rest = variable.value;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find_first_of(", \t\r\n"), rest.size());
      if (end > 0) {
        names.emplace(rest.substr(0, end));
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return names;
}

}  // namespace

bool is_reserved_argument(std::string_view name) {
  const std::string upper = upper_case(name);
  return upper.starts_with("BUILDKIT_") ||
         std::ranges::find(k_predefined, upper) != k_predefined.end();
}

bool is_argument_name(std::string_view name) {
  return is_identifier(name) && !is_reserved_argument(name);
}

DeliveredVariables deliver(const std::vector<EnvironmentVariable>& variables,
                           const DeliveryRules& rules, const Secret& key) {
  std::map<std::string, const EnvironmentVariable*> last;
  for (const EnvironmentVariable& variable : variables) {
    if (!is_of_the_build(variable.key) && !variable.value.contains('\0')) {
      last[variable.key] = &variable;
    }
  }
  const std::set<std::string> listed = names_in(variables, k_build_arguments);
  DeliveredVariables delivered{.key = key};
  for (const auto& [name, variable] : last) {
    if (rules.secret && is_id(name) && variable->value.size() <= k_largest_secret) {
      delivered.secrets.emplace(name, Secret(variable->value));
    }
    if (!rules.argument || !is_argument_name(name) || variable->value.empty()) {
      continue;
    }
    if (listed.contains(name) || is_for_browsers(name) ||
        (!steers_programs(name) && !looks_secret(*variable))) {
      delivered.arguments.emplace(name, variable->value);
    } else if (!steers_programs(name)) {
      delivered.withheld.push_back(name);
    }
  }
  return delivered;
}

std::vector<EnvironmentVariable> of_the_app(const std::vector<EnvironmentVariable>& variables) {
  std::vector<EnvironmentVariable> rest;
  std::ranges::copy_if(
      variables, std::back_inserter(rest),
      [](const EnvironmentVariable& variable) { return !is_of_the_build(variable.key); });
  return rest;
}

bool is_forced(const std::vector<EnvironmentVariable>& variables) {
  const auto force = std::ranges::find(variables.rbegin(), variables.rend(), k_build_force,
                                       &EnvironmentVariable::key);
  return force != variables.rend() && !force->value.empty() && force->value != "0" &&
         lower_case(force->value) != "false";
}

std::vector<EnvironmentVariable> for_buildpacks(const std::vector<EnvironmentVariable>& variables) {
  const std::set<std::string> listed = names_in(variables, k_build_environment);
  std::vector<EnvironmentVariable> chosen;
  std::ranges::copy_if(variables, std::back_inserter(chosen),
                       [&](const EnvironmentVariable& variable) {
                         return listed.contains(variable.key) && !is_of_the_build(variable.key);
                       });
  return chosen;
}

}  // namespace builder::domain
