#pragma once

#include "adapters/redis/client/redis_config.hpp"
#include "ports/queue_admin.hpp"

#include <memory>

namespace builder::adapters::redis {

/// Over one connection, which is opened by the first call and again after it was lost; nothing is
/// repeated. A look is one MULTI of reading commands: it runs no script, so that a user who may
/// only read can look, also on a replica.
std::unique_ptr<ports::QueueAdmin> make_queue_admin(RedisConfig config);

}  // namespace builder::adapters::redis
