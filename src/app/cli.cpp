#include "app/cli.hpp"

#include "adapters/http/client.hpp"
#include "app/config/config.hpp"
#include "app/service.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace builder::app {

namespace {

constexpr int k_exit_broken = 1;
constexpr int k_exit_usage = 2;
constexpr std::chrono::seconds k_health_patience{4};

constexpr const char* k_footer =
    R"(Configuration comes from the environment and from .env in the working directory; the environment
wins. `deployra-builder config` shows every setting, its value and where the value comes from.

Examples:
  API_KEY=… deployra-builder                run the worker in the foreground
  deployra-builder config                   what is in force?
  kill -TERM <pid>                          finish the running builds, then end

Exit codes: 0 drained, 1 could not start or broke, 2 wrong usage or configuration, 130 aborted.)";

void print_errors(const LoadedConfig& loaded) {
  fmt::print(stderr, "deployra-builder: the configuration has {} error{}:\n", loaded.errors.size(),
             loaded.errors.size() == 1 ? "" : "s");
  for (const ConfigError& error : loaded.errors) {
    fmt::print(stderr, "  {}\n", error.text);
  }
}

int show_config(const LoadedConfig& loaded) {
  std::size_t name_width = 0;
  std::size_t value_width = 0;
  for (const EffectiveSetting& setting : loaded.settings) {
    name_width = std::max(name_width, setting.name.size());
    value_width = std::max(value_width, std::min<std::size_t>(setting.value.size(), 40));
  }
  for (const EffectiveSetting& setting : loaded.settings) {
    fmt::print("{:{}}  {:{}}  {:11}  {}\n", setting.name, name_width, setting.value, value_width,
               setting.origin, setting.help);
  }
  std::fflush(stdout);
  for (const std::string& warning : loaded.warnings) {
    fmt::print(stderr, "deployra-builder: {}\n", warning);
  }
  if (!loaded.errors.empty()) {
    print_errors(loaded);
    return k_exit_usage;
  }
  return 0;
}

int serve(const LoadedConfig& loaded) {
  if (!loaded.errors.empty()) {
    print_errors(loaded);
    return k_exit_usage;
  }
  if (const auto served = run_service(loaded.config, loaded.warnings); !served) {
    fmt::print(stderr, "deployra-builder: {}\n", served.error().message);
    return k_exit_broken;
  }
  return 0;
}

/// For HEALTHCHECK of a container: the worker's own /healthz.
int check_health(const LoadedConfig& loaded) {
  std::string address = loaded.config.http_listen;
  if (address.empty()) {
    fmt::print(stderr, "deployra-builder: HTTP_LISTEN is not set\n");
    return k_exit_usage;
  }
  for (const auto& [every, one] :
       {std::pair("0.0.0.0:", "127.0.0.1:"), std::pair("[::]:", "[::1]:")}) {
    if (address.starts_with(every)) {
      address.replace(0, std::string_view(every).size(), one);
    }
  }
  adapters::http::Request request;
  request.direct = true;
  request.url = "http://" + address + "/healthz";
  const auto answer = adapters::http::make_client()->send(
      request, {}, std::chrono::steady_clock::now() + k_health_patience);
  const std::string problem = !answer                 ? answer.error().message
                              : answer->status != 200 ? fmt::format("status {}", answer->status)
                                                      : "";
  if (!problem.empty()) {
    fmt::print(stderr, "deployra-builder: {}: {}\n", request.url, problem);
    return k_exit_broken;
  }
  return 0;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app(
      "Build worker of the Deployra platform: takes deployments from a Redis queue, builds "
      "their images and pushes them.",
      "deployra-builder");
  app.set_version_flag("--version", "deployra-builder " BUILDER_VERSION);
  app.footer(k_footer);
  app.require_subcommand(0, 1);
  app.add_subcommand("serve", "Run the worker until SIGTERM (the default)");
  const CLI::App* config =
      app.add_subcommand("config", "Show the effective configuration, secrets starred");
  const CLI::App* health =
      app.add_subcommand("health", "Ask the worker with the same HTTP_LISTEN whether it lives");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : k_exit_usage;
  }
  try {
    const LoadedConfig loaded = load_config();
    return config->parsed()   ? show_config(loaded)
           : health->parsed() ? check_health(loaded)
                              : serve(loaded);
  } catch (const std::exception& error) {
    fmt::print(stderr, "deployra-builder: {}\n", error.what());
    return k_exit_broken;
  }
}

}  // namespace builder::app
