#include "app/compose/platform_parts.hpp"

namespace builder::app {

PlatformParts::PlatformParts(const Config& config, adapters::http::Client& http)
    : reporter(adapters::dashboard::make_reporter(
          {.api_url = config.api_url, .api_key = config.api_key}, http)),
      watch(*reporter, config.unknown_timeout) {
}

Result<> PlatformParts::check(const std::stop_token& stop) {
  return watch.probed(reporter->probe(stop));
}

}  // namespace builder::app
