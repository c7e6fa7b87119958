#pragma once

#include "adapters/redis/client/connection.hpp"
#include "base/result.hpp"

#include <stop_token>
#include <string>

namespace builder::adapters::redis {

/// What the server at hand allows, and with it what can be promised.
enum class Level {
  unknown,
  a,       ///< Scripts and BLMOVE.
  b,       ///< Scripts, no BLMOVE: the queue is polled.
  refused  ///< No scripts, or not all they need: nothing is taken.
};

struct ServerRights {
  Level level = Level::unknown;  ///< a or b.
  std::string no_blmove = {};    ///< Of level b: why.
};

/// Tries each right that the queue needs, to no effect beside running workers. `denied` names all
/// that are missing, of scripts alone or of what scripts may do.
Result<ServerRights> try_rights(Connection& connection, const RedisConfig& config,
                                const std::stop_token& stop);

/// Why this server may throw the queue away, by its answer to INFO memory; empty: it does not.
std::string eviction_risk(const std::string& info);

}  // namespace builder::adapters::redis
