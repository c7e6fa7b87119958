#pragma once

#include "adapters/redis/client/connection.hpp"
#include "base/log.hpp"
#include "ports/cancel_feed.hpp"

#include <memory>

namespace builder::adapters::redis {

/// Subscribes to the platform's cancel channel on a connection of its own, which is pinged every
/// five seconds and opened again within about a second after Redis is back.
std::unique_ptr<ports::CancelFeed> make_cancel_feed(RedisConfig config, Log log);

}  // namespace builder::adapters::redis
