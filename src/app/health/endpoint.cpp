#include "app/health/endpoint.hpp"

#include "base/stop.hpp"

#include <chrono>
#include <utility>

namespace builder::app {

namespace {

constexpr std::chrono::seconds k_listen_interval{1};

}  // namespace

Result<std::unique_ptr<Endpoint>> Endpoint::start(const std::string& address, EndpointPages pages,
                                                  const Log& log) {
  std::unique_ptr<Endpoint> endpoint(new Endpoint);
  if (address.empty()) {
    return endpoint;
  }
  const auto listen = [&http = endpoint->http_, address, pages = std::move(pages),
                       log]() -> Result<> {
    BUILDER_TRY_ASSIGN(http, HttpEndpoint::start(address, pages));
    log.info("health and metrics on {}", address);
    return {};
  };
  const auto started = listen();
  if (!started && started.error().kind != ErrorKind::conflict) {
    return std::unexpected(started.error());
  }
  if (!started) {
    log.warning("{}; trying again until it is free: jobs are taken meanwhile",
                started.error().message);
    endpoint->late_ = std::jthread([listen](const std::stop_token& stop) {
      while (sleep_for(k_listen_interval, stop) && !listen()) {
      }
    });
  }
  return endpoint;
}

}  // namespace builder::app
