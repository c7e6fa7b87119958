#include "domain/variable_delivery.hpp"

#include "base/ascii.hpp"
#include "domain/request_secrets.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

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

/// It can be the `id` of a mount.
bool is_id(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
}

bool looks_secret(const EnvironmentVariable& variable) {
  DeploymentRequest alone;
  alone.environment = {variable};
  return !secrets_of(alone).empty();
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

bool is_for_browsers(std::string_view name) {
  constexpr std::array<std::string_view, 9> k_prefixes{
      "NEXT_PUBLIC_", "VITE_",   "REACT_APP_", "VUE_APP_", "EXPO_PUBLIC_",
      "NUXT_PUBLIC_", "GATSBY_", "NG_APP_",    "PUBLIC_"};
  return std::ranges::any_of(k_prefixes,
                             [name](std::string_view prefix) { return name.starts_with(prefix); });
}

DeliveredVariables deliver(const std::vector<EnvironmentVariable>& variables,
                           const DeliveryRules& rules, const std::set<std::string>& listed,
                           const Secret& key) {
  std::map<std::string, const EnvironmentVariable*> last;
  for (const EnvironmentVariable& variable : variables) {
    if (!variable.value.contains('\0')) {
      last[variable.key] = &variable;
    }
  }
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

}  // namespace builder::domain
