#include "domain/buildpacks/platform_env.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cctype>

namespace builder::domain::buildpacks {

namespace {

constexpr std::string_view k_default_port = "3000";

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 200 &&
         std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
         std::ranges::all_of(
             name, [](unsigned char c) { return c < 0x80 && (std::isalnum(c) != 0 || c == '_'); });
}

}  // namespace

std::vector<EnvironmentVariable> default_environment(std::span<const PortMapping> ports,
                                                     const std::string& node_version) {
  std::vector<EnvironmentVariable> defaults{
      {.key = "PORT",
       .value = ports.empty() ? std::string(k_default_port)
                              : std::to_string(ports.front().container_port)},
      {.key = "BP_INCLUDE_FILES", .value = "*"}};
  if (!node_version.empty()) {
    defaults.push_back({.key = "BP_NODE_VERSION", .value = node_version});
  }
  return defaults;
}

PlatformEnvironment merge_environment(std::span<const EnvironmentVariable> defaults,
                                      std::span<const EnvironmentVariable> project,
                                      std::span<const EnvironmentVariable> service) {
  PlatformEnvironment merged;
  for (const auto& source : {defaults, project, service}) {
    for (const EnvironmentVariable& variable : source) {
      const bool named = is_name(variable.key);
      if (!named || variable.value.contains('\0')) {
        merged.warnings.push_back("Variable '" + printable_line(variable.key.substr(0, 60)) +
                                  "' is not given to the buildpacks: " +
                                  (named ? "its value holds a NUL character"
                                         : "its name may hold letters, digits and '_' only"));
        continue;
      }
      merged.variables[variable.key] = variable.value;
    }
  }
  return merged;
}

}  // namespace builder::domain::buildpacks
