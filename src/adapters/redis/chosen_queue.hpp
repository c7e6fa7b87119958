#pragma once

#include "adapters/redis/leased/job_queue.hpp"
#include "adapters/redis/unleased/unsafe_queue.hpp"

#include <memory>

namespace builder::adapters::redis {

/// The queue of `make_job_queue`, or where Redis refuses scripts that of `make_unsafe_queue`: the
/// first answer of Redis decides, in `recover`, for as long as the process lives. Until then
/// nothing else can be done.
std::unique_ptr<ports::JobQueue> make_chosen_queue(RedisConfig config, QueueSettings settings,
                                                   UnsafeSettings unsafe, Log log);

}  // namespace builder::adapters::redis
