#include "adapters/http/client.hpp"
#include "app/cli/command_line.hpp"
#include "app/cli/settings.hpp"
#include "app/config/config.hpp"

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace builder::app::cli {

namespace {

constexpr std::chrono::seconds k_health_patience{4};

/// For HEALTHCHECK of a container: the worker's own /healthz.
Exit check_health() {
  const LoadedConfig loaded = load_config();
  std::string address = loaded.config.http_listen;
  if (const auto errors = loaded.errors_of({Concern::general, Concern::worker});
      address.empty() && !errors.empty()) {
    print_errors(errors);
    return Exit::usage;
  }
  if (address.empty()) {
    complain("HTTP_LISTEN is not set");
    return Exit::usage;
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
    complain(answer ? request.url + ": " + problem : problem);
    return Exit::failed;
  }
  return Exit::ok;
}

}  // namespace

void add_health(CommandLine& line) {
  line.verb(nullptr, "health", "Ask the worker with the same HTTP_LISTEN whether it lives",
            "  deployra-builder health && echo alive   what HEALTHCHECK of the image runs",
            check_health);
}

}  // namespace builder::app::cli
