#pragma once

#include "adapters/redis/client/redis_config.hpp"
#include "adapters/redis/client/transport.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

struct redisReader;  // NOLINT(readability-identifier-naming): hiredis's.

namespace builder::adapters::redis {

/// One answer of Redis.
struct Reply {
  enum class Type { nil, integer, text, list };
  Type type = Type::nil;
  std::int64_t integer = 0;
  std::string text;
  std::vector<Reply> list;
};

/// One connection. Every call ends at its deadline or on stop; after a failure other than a refusal
/// by Redis itself the connection is closed, since an answer may still be under way. Not
/// thread-safe.
class Connection {
 public:
  /// Connects (to the master the sentinels name, when there are any), authenticates and names the
  /// connection.
  static Result<std::unique_ptr<Connection>> open(const RedisConfig& config,
                                                  const std::string& name,
                                                  const std::stop_token& stop);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Sends one command and reads its answer.
  Result<Reply> call(const std::vector<std::string>& command, const std::stop_token& stop,
                     std::chrono::milliseconds patience = std::chrono::seconds(5));
  Result<> send(const std::vector<std::string>& command, const std::stop_token& stop);
  /// The next answer or pushed message; `timed_out` leaves the connection usable.
  Result<Reply> receive(const std::stop_token& stop, SteadyTime deadline);

  [[nodiscard]] bool usable() const { return transport_ != nullptr; }

 private:
  Connection();
  Result<> connect(const RedisConfig& config, const std::string& name, const std::stop_token& stop);
  static Result<RedisAddress> ask_sentinels(const RedisConfig& config, const std::stop_token& stop);
  Result<> log_in(const std::string& username, const Secret& password, const std::stop_token& stop);

  struct ReaderDeleter {
    void operator()(redisReader* reader) const;
  };

  std::string address_;                   ///< Once it is known.
  std::unique_ptr<Transport> transport_;  ///< Empty once it is broken.
  std::unique_ptr<redisReader, ReaderDeleter> reader_;
};

}  // namespace builder::adapters::redis
