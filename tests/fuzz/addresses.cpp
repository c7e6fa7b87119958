// An address is read or refused; what is kept of it has the form that others rely on, and nothing
// of a login is shown.
#include "adapters/docker/engine_address.hpp"
#include "adapters/ecr/endpoints.hpp"
#include "adapters/ecr/profiles.hpp"
#include "adapters/git/address_policy.hpp"
#include "adapters/http/message.hpp"
#include "adapters/redis/client/redis_config.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

BUILDER_FUZZ(addresses) {
  using namespace builder;
  using namespace builder::adapters;
  fuzz::expect(http::percent_decode(http::percent_encode(input)) == input,
               "what was encoded is not read back");
  const std::string shown = http::without_secrets(input);
  fuzz::expect(http::without_secrets(shown) == shown, "not all is taken out at once: " + shown);
  if (const auto endpoint = git::parse_endpoint(input)) {
    fuzz::expect(!endpoint->host.empty() && endpoint->port != 0 &&
                     (endpoint->scheme == "http" || endpoint->scheme == "https"),
                 "no endpoint: " + endpoint->origin());
    const auto again = git::parse_endpoint(endpoint->origin());
    fuzz::expect(again && *again == *endpoint, "another origin: " + endpoint->origin());
  }
  const auto now = std::chrono::system_clock::from_time_t(1'800'000'000);
  if (const auto wait = http::parse_retry_after(input, now)) {
    fuzz::expect(*wait >= std::chrono::milliseconds(0) && *wait <= std::chrono::minutes(1),
                 "a wait that nobody asks for");
  }
  redis::RedisConfig config;
  if (const auto applied = redis::apply_url(config, input); !applied) {
    fuzz::expect(!input.contains('@') || !applied.error().message.contains(input),
                 "the error shows the address");
  }
  static_cast<void>(redis::parse_addresses(input, 6379));
  if (const auto address = docker::parse_engine_address(input)) {
    fuzz::expect(docker::parse_engine_address(address->str()) == *address,
                 "another engine: " + address->str());
  }
  static_cast<void>(ecr::host_header(input));
  static_cast<void>(ecr::parse_profiles(input, input.size() % 2 == 0));
  static_cast<void>(ecr::split_command(input));
}
