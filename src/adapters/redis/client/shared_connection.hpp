#pragma once

#include "adapters/redis/client/connection.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace builder::adapters::redis {

/// A connection for the short commands of any thread, one after the other; one that was lost is
/// opened again. Thread-safe.
class SharedConnection {
 public:
  using Call = std::function<Result<Reply>(Connection&)>;

  /// `config` outlives the object.
  explicit SharedConnection(const RedisConfig& config);

  /// Repeats what could not be done, until `deadline` (one that has passed still allows one attempt
  /// on a fresh connection). Redis may have done what is repeated.
  Result<Reply> run(const Call& call, SteadyTime deadline);
  Result<Reply> command(const std::vector<std::string>& words, SteadyTime deadline);

 private:
  Result<Reply> attempt(const Call& call);

  const RedisConfig& config_;
  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;
  std::mt19937_64 random_;
};

}  // namespace builder::adapters::redis
