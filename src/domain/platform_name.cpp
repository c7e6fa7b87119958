#include "domain/platform_name.hpp"

#include "base/ascii.hpp"
#include "base/spelling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace builder::domain {

namespace {

/// Machines as BuildKit names them, with the other names that it takes for some:
/// https://pkg.go.dev/github.com/containerd/platforms
constexpr auto k_systems =
    std::to_array<std::string_view>({"linux", "windows", "freebsd", "darwin", "wasi"});
constexpr auto k_machines = std::to_array<std::string_view>(
    {"amd64",   "arm64",  "arm",     "386",      "riscv64", "ppc64le", "s390x",
     "loong64", "mips",   "mips64",  "mips64le", "mipsle",  "ppc64",   "wasm",
     "x86_64",  "x86-64", "aarch64", "i386",     "armhf",   "armel"});

/// `os/architecture`, as containerd calls it.
std::string machine_of(std::string_view platform) {
  constexpr auto k_other_names =
      std::to_array<std::pair<std::string_view, std::string_view>>({{"x86_64", "amd64"},
                                                                    {"x86-64", "amd64"},
                                                                    {"aarch64", "arm64"},
                                                                    {"i386", "386"},
                                                                    {"armhf", "arm"},
                                                                    {"armel", "arm"}});
  const std::string text = lower_case(platform);
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string rest = text.substr(std::min(slash + 1, text.size()));
  std::string machine = rest.substr(0, rest.find('/'));
  for (const auto& [other, name] : k_other_names) {
    if (machine == other) {
      machine = name;
    }
  }
  return text.substr(0, slash) + "/" + machine;
}

/// What is wrong with one, to stand behind its name; empty: nothing.
std::string platform_fault(std::string_view platform) {
  const auto slash = std::min(platform.find('/'), platform.size());
  const std::string system = lower_case(platform.substr(0, slash));
  const std::string rest = lower_case(platform.substr(std::min(slash + 1, platform.size())));
  const std::string machine = rest.substr(0, rest.find('/'));
  const bool has_variant = machine.size() < rest.size();
  const std::string variant = has_variant ? rest.substr(machine.size() + 1) : "";
  const bool is_variant = std::ranges::all_of(
      variant, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.'; });
  const auto is_among = [](const auto& known, const std::string& word) {
    return std::ranges::find(known, word) != known.end();
  };
  if (is_among(k_systems, system) && is_among(k_machines, machine) && is_variant &&
      has_variant == !variant.empty()) {
    return {};
  }
  const std::string os = nearest_word(system, k_systems);
  const std::string meant = nearest_word(machine, k_machines);
  return fmt::format(
      "is no platform, which is like linux/amd64, linux/arm64 or linux/arm/v7{}",
      os.empty() || meant.empty() ? "" : fmt::format("; did you mean {}/{}?", os, meant));
}

}  // namespace

std::vector<std::string> platforms_in(std::string_view list) {
  std::vector<std::string> platforms;
  for (;;) {
    const std::size_t comma = std::min(list.find(','), list.size());
    platforms.emplace_back(list.substr(0, comma));
    if (comma == list.size()) {
      return platforms;
    }
    list.remove_prefix(comma + 1);
  }
}

std::string platform_list_fault(std::string_view list) {
  constexpr std::size_t k_most = 8;
  const std::vector<std::string> platforms = platforms_in(list);
  if (platforms.size() > k_most) {
    return fmt::format("{} platforms are more than {}", platforms.size(), k_most);
  }
  std::vector<PlatformParts> known;
  for (const std::string& platform : platforms) {
    if (platform.empty()) {
      return "it is no platform list: a name is missing";
    }
    if (const std::string fault = platform_fault(platform); !fault.empty()) {
      return platform + " " + fault;
    }
    PlatformParts parts = platform_parts(platform);
    if (std::ranges::find(known, parts) != known.end()) {
      return platform + " is there twice";
    }
    known.push_back(std::move(parts));
  }
  return {};
}

PlatformParts platform_parts(std::string_view platform) {
  const std::string name = machine_of(platform);
  const std::size_t slash = name.find('/');
  PlatformParts parts{
      .system = name.substr(0, slash), .machine = name.substr(slash + 1), .variant = {}};
  const std::string text = lower_case(platform);
  if (const std::size_t second = text.find('/', text.find('/') + 1); second != std::string::npos) {
    parts.variant = text.substr(second + 1);
  }
  // containerd's Normalize.
  if (parts.machine == "arm" && parts.variant.empty()) {
    parts.variant = text.contains("armel") ? "v6" : "v7";
  } else if ((parts.machine == "arm64" && parts.variant == "v8") ||
             (parts.machine == "amd64" && parts.variant == "v1")) {
    parts.variant.clear();
  }
  return parts;
}

std::string platform_word(std::string_view platform) {
  const PlatformParts parts = platform_parts(platform);
  return fmt::format("{}-{}{}{}", parts.system, parts.machine, parts.variant.empty() ? "" : "-",
                     parts.variant);
}

bool is_same_machine(std::string_view left, std::string_view right) {
  return machine_of(left) == machine_of(right);
}

}  // namespace builder::domain
