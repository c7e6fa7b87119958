#pragma once

#include "adapters/dashboard/reporter.hpp"
#include "adapters/http/client.hpp"
#include "app/config/config.hpp"
#include "report/platform_watch.hpp"

#include <memory>
#include <stop_token>

namespace builder::app {

/// The platform's API, as the deployments post to it. Needs the settings of `Concern::platform`.
/// The arguments outlive it; members are made in this order.
struct PlatformParts {
  PlatformParts(const Config& config, adapters::http::Client& http);
  PlatformParts(const PlatformParts&) = delete;
  PlatformParts& operator=(const PlatformParts&) = delete;

  /// Why it is not ready, as far as a look at it and the posts tell.
  Result<> check(const std::stop_token& stop);

  std::unique_ptr<adapters::dashboard::Reporter> reporter;
  report::PlatformWatch watch;  ///< What everything is posted through.
};

}  // namespace builder::app
