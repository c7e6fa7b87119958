#include "adapters/redis/client/shared_connection.hpp"

#include "base/backoff.hpp"

#include <chrono>

namespace builder::adapters::redis {

namespace {

constexpr BackoffPolicy k_reconnect{.base = std::chrono::milliseconds(100),
                                    .cap = std::chrono::milliseconds(5'000)};

}  // namespace

SharedConnection::SharedConnection(const RedisConfig& config)
    : config_(config), random_(make_random()) {
}

Result<Reply> SharedConnection::run(const Call& call, SteadyTime deadline) {
  const std::scoped_lock lock(mutex_);
  for (int attempts = 0;; ++attempts) {
    auto reply = attempt(call);
    if (reply || !reply.error().is_transient()) {
      return reply;
    }
    const auto delay = next_delay(k_reconnect, attempts, std::nullopt, random_);
    if (attempts > 0 && std::chrono::steady_clock::now() + delay >= deadline) {
      return reply;
    }
    if (attempts > 0) {
      sleep_for(delay, {});
    }
  }
}

Result<Reply> SharedConnection::command(const std::vector<std::string>& words,
                                        SteadyTime deadline) {
  return run([&](Connection& connection) { return connection.call(words, {}); }, deadline);
}

Result<Reply> SharedConnection::attempt(const Call& call) {
  if (!connection_ || !connection_->usable()) {
    BUILDER_TRY_ASSIGN(connection_, Connection::open(config_, "deployra-builder", {}));
  }
  return call(*connection_);
}

}  // namespace builder::adapters::redis
