#include "adapters/redis/leased/server_rights.hpp"

#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/client/server_info.hpp"
#include "adapters/redis/leased/scripts.hpp"

#include <utility>

namespace builder::adapters::redis {

Result<ServerRights> try_rights(Connection& connection, const RedisConfig& config,
                                const std::stop_token& stop) {
  // A timeout that is no number is found wrong only after command and rights were found right; a
  // real one would cost up to 100 ms.
  const auto moved =
      connection.call({"BLMOVE", config.queue, config.queue, "LEFT", "LEFT", "probe"}, stop);
  ServerRights rights{.level = Level::a};
  if (!moved && is_no_command(moved.error())) {
    rights = {.level = Level::b, .no_blmove = moved.error().message};
  } else if (!moved && moved.error().is_transient() && !moved.error().message.contains("OOM")) {
    return std::unexpected(moved.error());
  }
  BUILDER_TRY(may_run_scripts(connection, stop));
  const Script script(scripts::k_rights, config.queue);
  if (auto all = script.run(connection, {}, stop); !all) {
    Error error = std::move(all).error();
    if (is_no_command(error)) {
      error.kind = ErrorKind::denied;
      error.message += " (the scripts need all rights that docs/protocol.md lists)";
    }
    if (!error.message.contains("OOM")) {
      return std::unexpected(std::move(error));
    }
  }
  return rights;
}

std::string eviction_risk(const std::string& info) {
  const std::string policy = info_field(info, "maxmemory_policy");
  // The other policies throw away only what has a time to live; nothing of ours has.
  return policy.starts_with("allkeys-") && info_field(info, "maxmemory") != "0"
             ? "Redis may throw the queue away when memory is short: set maxmemory-policy to "
               "noeviction, it is " +
                   policy
             : std::string();
}

}  // namespace builder::adapters::redis
