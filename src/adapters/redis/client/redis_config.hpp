#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"
#include "domain/queue_rules.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::redis {

/// How long the answer to a command may take.
inline constexpr std::chrono::seconds k_reply_patience{5};
/// How often the queue is looked at where Redis cannot be asked to wait for an element.
inline constexpr std::chrono::milliseconds k_poll{250};
/// Elements of the queue that are read to find newer ones of a service.
inline constexpr std::size_t k_look_ahead = 1'000;

struct RedisAddress {
  std::string host = "localhost";
  std::uint16_t port = 6379;

  [[nodiscard]] std::string str() const {
    const bool is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
};

struct TlsConfig {
  bool enabled = false;
  std::string ca_file;  ///< Empty: what the system trusts.
  std::string certificate_file;
  std::string key_file;
};

/// Sentinels know who the master is at the moment.
struct SentinelConfig {
  std::vector<RedisAddress> addresses;  ///< Empty: none, the address is the master's.
  std::string master = "mymaster";
  Secret password;
};

struct RedisConfig {
  RedisAddress address;
  std::string socket;  ///< Not empty: this unix socket instead of the address.
  std::string username;
  Secret password;
  int database = 0;
  TlsConfig tls;
  SentinelConfig sentinel;
  bool is_url = false;  ///< REDIS_URL named the address.
  std::string queue = "builder-queue";
  domain::QueueOrder order = domain::QueueOrder::fair;  ///< In which jobs are taken from it.
  std::string cancel_channel = "builder:cancel";

  /// The settings that say where Redis is.
  [[nodiscard]] std::string_view settings() const {
    return !sentinel.addresses.empty() ? "REDIS_SENTINELS"
           : is_url                    ? "REDIS_URL"
                                       : "REDIS_HOST, REDIS_PORT";
  }
};

/// `redis://`, `rediss://` (TLS) or `unix://` with `user:password@`, percent-encoded, and a
/// database as path (`?db=` for unix). Overwrites what it names. The error never shows the address.
Result<> apply_url(RedisConfig& config, std::string_view url);

/// `host:port,host:port`; the port may be left out.
Result<std::vector<RedisAddress>> parse_addresses(std::string_view list,
                                                  std::uint16_t default_port);

}  // namespace builder::adapters::redis
