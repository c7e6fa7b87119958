#pragma once

#include "adapters/redis/connection.hpp"
#include "ports/job_queue.hpp"

#include <memory>
#include <string>

namespace builder::adapters::redis {

/// The platform's list, and the list `{<queue>}:taken:<worker_id>` of what this worker has taken.
/// Needs Redis 6.2 (BLMOVE, LMOVE). Calls that must not be lost (`finish`, `give_back`,
/// `mark_cancelled`) are repeated through reconnects for half a minute.
std::unique_ptr<ports::JobQueue> make_job_queue(RedisConfig config, const std::string& worker_id);

}  // namespace builder::adapters::redis
