#include "app/cli/settings.hpp"

#include "app/cli/command_line.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/terminal.hpp"
#include "base/text.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace builder::app::cli {

namespace {

void print_json(const LoadedConfig& loaded) {
  auto settings = nlohmann::ordered_json::array();
  for (const EffectiveSetting& setting : loaded.settings) {
    settings.push_back({{"name", setting.name},
                        {"value", setting.value},
                        {"origin", setting.origin},
                        {"help", setting.help}});
  }
  fmt::print("{}", dumped(settings));
}

void print_table(const LoadedConfig& loaded) {
  std::vector<std::vector<std::string>> rows{{"SETTING", "VALUE", "FROM", "MEANING"}};
  for (const EffectiveSetting& setting : loaded.settings) {
    rows.push_back({setting.name, printable_line(setting.value), setting.origin, setting.help});
  }
  fmt::print("{}", table(terminal_of(STDOUT_FILENO), rows));
}

Exit show_config(bool json) {
  const LoadedConfig loaded = load_config();
  json ? print_json(loaded) : print_table(loaded);
  std::fflush(stdout);
  for (const std::string& warning : loaded.warnings) {
    complain(warning);
  }
  if (!loaded.errors.empty()) {
    print_errors(loaded);
    return Exit::usage;
  }
  return Exit::ok;
}

}  // namespace

void print_errors(const LoadedConfig& loaded) {
  std::vector<std::string> texts;
  for (const ConfigError& error : loaded.errors) {
    texts.push_back(error.text);
  }
  print_errors(texts);
}

void print_errors(const std::vector<std::string>& errors) {
  complain(fmt::format("the configuration has {} error{}:", errors.size(),
                       errors.size() == 1 ? "" : "s"));
  for (const std::string& error : errors) {
    put(stderr, fmt::format("  {}\n", error));
  }
}

void add_config(CommandLine& line) {
  const auto json = std::make_shared<bool>(false);
  line.verb(nullptr, "config", "Show the effective configuration, secrets starred",
            "  deployra-builder config                what is in force, and from where?\n"
            "  deployra-builder config --json | jq    the same for programs",
            [json] { return show_config(*json); })
      .add_flag("--json", *json, "An array of objects: name, value, origin, help");
}

}  // namespace builder::app::cli
