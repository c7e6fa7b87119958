#include "adapters/redis/client/connection.hpp"
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/client/server_info.hpp"
#include "adapters/redis/leased/server_rights.hpp"
#include "app/doctor/checks.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

namespace builder::app {

namespace {

using adapters::redis::Connection;
using adapters::redis::info_field;
using adapters::redis::Level;
using adapters::redis::Reply;
using std::chrono::system_clock;

constexpr const char* k_name = "deployra-builder-doctor";
constexpr const char* k_rights_cure =
    "give the user the rights of docs/protocol.md: ACL SETUSER, then ACL SAVE";

/// What is asked of one server.
struct Look {
  Connection& connection;
  const Config& config;
  Report& report;
  std::stop_token stop;

  Result<Reply> call(const std::vector<std::string>& command) const {
    return connection.call(command, stop);
  }
};

Advice advice_for(const Error& error, const adapters::redis::RedisConfig& redis) {
  if (error.kind == ErrorKind::denied) {
    return {.setting = redis.is_url ? "REDIS_URL" : "REDIS_PASSWORD",
            .cure = error.message.contains("NOAUTH")
                        ? "Redis asks for a password, and none is set; with an ACL also for a user"
                        : "the user and the password have to be those of the server's ACL"};
  }
  return {.setting = std::string(redis.settings()), .cure = "start Redis, or correct its address"};
}

std::int64_t number_in(const std::string& text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// "Redis 7.0.15", "Valkey 8.1.1".
std::string name_of(const std::string& info) {
  const std::string valkey = info_field(info, "valkey_version");
  const std::string version = info_field(info, "redis_version");
  return !valkey.empty()   ? "Valkey " + valkey
         : version.empty() ? "a Redis that does not tell its version"
                           : "Redis " + version;
}

void look_at_server(const Look& look) {
  const auto info = look.call({"INFO", "server"});
  if (!info) {
    look.report.warning("server",
                        "it answers, and does not say what it is: " + info.error().message,
                        {.cure = k_rights_cure});
    return;
  }
  look.report.ok("server",
                 fmt::format("{}, up for {} h", name_of(info->text),
                             number_in(info_field(info->text, "uptime_in_seconds")) / 3600));
}

void look_at_rights(const Look& look) {
  const auto rights = adapters::redis::try_rights(look.connection, look.config.redis, look.stop);
  if (!rights && rights.error().kind == ErrorKind::conflict) {
    if (look.call({"LLEN", look.config.redis.queue})) {
      look.report.failure("rights", rights.error(),
                          {.setting = "REDIS_QUEUE_NAME",
                           .cure = "another program uses a key of the queue: rename that key, or "
                                   "the queue"});
    } else {
      look.report.not_tried("rights", "the queue's own key is not what it should be");
    }
  } else if (!rights) {
    const bool is_bearable =
        look.config.allow_unsafe_queue && rights.error().kind == ErrorKind::denied;
    if (is_bearable) {
      look.report.warning("rights",
                          rights.error().message + "; ALLOW_UNSAFE_QUEUE: a crash loses jobs",
                          {.setting = "ALLOW_UNSAFE_QUEUE", .cure = k_rights_cure});
    } else {
      look.report.failure("rights", rights.error(),
                          {.setting = "REDIS_USERNAME", .cure = k_rights_cure});
    }
  } else if (rights->level == Level::b) {
    look.report.warning(
        "rights",
        "queue guarantee B: without BLMOVE (" + rights->no_blmove + ") the queue is polled",
        {.setting = "REDIS_USERNAME", .cure = "allow BLMOVE; it needs Redis 6.2 or later"});
  } else {
    look.report.ok("rights", "all that the queue needs; guarantee A");
  }
}

void look_at_persistence(const Look& look) {
  const auto info = look.call({"INFO", "persistence"});
  if (!info) {
    look.report.not_tried("persistence", info.error().message);
    return;
  }
  constexpr const char* k_cure =
      "set `appendonly yes` in redis.conf: what was taken and what has ended is lost with Redis's "
      "memory otherwise";
  const std::string written = info_field(info->text, "aof_last_write_status");
  const std::string saved = info_field(info->text, "rdb_last_bgsave_status");
  if (info_field(info->text, "aof_enabled") != "1") {
    look.report.warning("persistence",
                        "appendonly is off: a restart of Redis forgets what came behind its last "
                        "snapshot",
                        {.cure = k_cure});
  } else if (!written.empty() && written != "ok") {
    look.report.failure("persistence", "its last write to the append-only file failed",
                        {.cure = "look at Redis's log and at the disk of its data"});
  } else if (!saved.empty() && saved != "ok") {
    look.report.warning("persistence", "appendonly is on; its last snapshot failed",
                        {.cure = "look at Redis's log and at the disk of its data"});
  } else {
    look.report.ok("persistence", "appendonly is on");
  }
}

void look_at_eviction(const Look& look) {
  const auto info = look.call({"INFO", "memory"});
  if (!info) {
    look.report.not_tried("eviction", info.error().message);
    return;
  }
  const std::string policy = info_field(info->text, "maxmemory_policy");
  if (const std::string risk = adapters::redis::eviction_risk(info->text); !risk.empty()) {
    look.report.failure("eviction", risk,
                        {.cure = "CONFIG SET maxmemory-policy noeviction, and in redis.conf"});
  } else if (policy.starts_with("allkeys-")) {
    look.report.warning("eviction",
                        "maxmemory-policy is " + policy +
                            "; nothing is thrown away only while "
                            "maxmemory is 0",
                        {.cure = "CONFIG SET maxmemory-policy noeviction, and in redis.conf"});
  } else {
    look.report.ok("eviction", "maxmemory-policy " + policy);
  }
}

void look_at_role(const Look& look) {
  const auto info = look.call({"INFO", "replication"});
  if (!info) {
    look.report.not_tried("role", info.error().message);
    return;
  }
  const std::string role = info_field(info->text, "role");
  if (role == "slave") {
    look.report.failure("role", "it is a replica, which takes no writes",
                        {.setting = std::string(look.config.redis.settings()),
                         .cure = "name the master, or REDIS_SENTINELS, which know it"});
    return;
  }
  const auto all = look.call({"INFO", "cluster"});
  const bool is_cluster = all && info_field(all->text, "cluster_enabled") == "1";
  look.report.ok("role", is_cluster ? "master, a node of a cluster" : "master");
}

void look_at_queue(const Look& look) {
  const std::string& queue = look.config.redis.queue;
  const auto length = look.call({"LLEN", queue});
  if (!length) {
    look.report.failure("queue", queue + ": " + length.error().message,
                        {.setting = "REDIS_QUEUE_NAME",
                         .cure = length.error().kind == ErrorKind::conflict
                                     ? "this key is no list: REDIS_QUEUE_NAME has to name the "
                                       "platform's queue"
                                     : "it must be a list that this user may use"});
    return;
  }
  const auto workers = look.call({"ZRANGE", adapters::redis::own_key(queue, "workers"), "0", "-1"});
  look.report.ok(
      "queue",
      fmt::format("{} jobs wait in {}{}", length->integer, queue,
                  workers ? fmt::format(", {} workers hold a lease", workers->list.size()) : ""));
}

void look_at_clock(const Look& look) {
  const auto asked = system_clock::now();
  const auto time = look.call({"TIME"});
  const auto answered = system_clock::now();
  if (!time || time->list.size() != 2) {
    return;  // The rights say so.
  }
  const auto theirs = std::chrono::seconds(number_in(time->list[0].text)) +
                      std::chrono::microseconds(number_in(time->list[1].text));
  compare_clocks(look.report, "Redis", system_clock::time_point(theirs), asked, answered);
}

/// On a connection of its own: one that is subscribed takes no other commands.
void look_at_cancels(const Circumstances& now, Report& report) {
  const std::string& channel = now.config.redis.cancel_channel;
  const auto connection = Connection::open(now.config.redis, k_name, now.stop);
  const auto heard = connection ? (*connection)->call({"SUBSCRIBE", channel}, now.stop)
                                : std::unexpected(connection.error());
  if (heard) {
    report.ok("cancels", "messages of " + channel + " are heard");
  } else {
    report.failure("cancels", Error(heard.error()).with_context("no cancel messages"),
                   {.setting = "REDIS_CANCEL_CHANNEL_NAME",
                    .cure = "allow SUBSCRIBE, and the channel (&" + channel + ")"});
  }
}

}  // namespace

void check_redis(const Circumstances& now, Report& report) {
  const auto connection = Connection::open(now.config.redis, k_name, now.stop);
  if (!connection) {
    report.failure("server", connection.error(), advice_for(connection.error(), now.config.redis));
    return;
  }
  const Look look{
      .connection = **connection, .config = now.config, .report = report, .stop = now.stop};
  // Without a password a server is greeted all the same; it then refuses every command.
  if (const auto known = look.call({"PING"}); !known && known.error().kind == ErrorKind::denied &&
                                              known.error().message.contains("NOAUTH")) {
    report.failure("server", known.error(), advice_for(known.error(), now.config.redis));
    return;
  }
  for (const auto& part : {look_at_server, look_at_role, look_at_rights, look_at_persistence,
                           look_at_eviction, look_at_queue, look_at_clock}) {
    if (!(*connection)->usable()) {
      report.failure("server", "the connection to Redis was lost on the way",
                     advice_for({.kind = ErrorKind::unavailable}, now.config.redis));
      return;
    }
    part(look);
  }
  look_at_cancels(now, report);
}

}  // namespace builder::app
