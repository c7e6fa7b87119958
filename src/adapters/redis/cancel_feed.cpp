#include "adapters/redis/cancel_feed.hpp"

#include "base/backoff.hpp"
#include "base/log_throttle.hpp"
#include "base/sync.hpp"
#include "domain/deployment_request.hpp"

#include <optional>
#include <utility>

namespace builder::adapters::redis {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds k_ping_interval{5};
constexpr std::chrono::seconds k_silence_limit{10};
constexpr BackoffPolicy k_resubscribe{.base = std::chrono::milliseconds(100),
                                      .cap = std::chrono::milliseconds(1'000)};

class RedisCancelFeed final : public ports::CancelFeed {
 public:
  RedisCancelFeed(RedisConfig config, Log log) : config_(std::move(config)), log_(std::move(log)) {}

  void run(const std::stop_token& stop,
           const std::function<void(const domain::DeploymentId&)>& on_cancel) override {
    auto random = make_random();
    LogThrottle trouble;
    bool ever_heard = false;  // Until then it is no news: the service has never been ready.
    for (int attempt = 0; !stop.stop_requested(); ++attempt) {
      const SteadyTime started = Clock::now();
      const auto ended = listen(stop, on_cancel);
      if (stop.stop_requested()) {
        return;
      }
      const bool was_heard = std::exchange(*state_.lock(), ended).has_value();
      ever_heard = ever_heard || was_heard;
      if (was_heard && Clock::now() - started > k_ping_interval) {
        attempt = -1;
        trouble.over();
      }
      if (ever_heard && trouble.is_news(ended.error().message)) {
        log_.warning("cancel messages are not heard: {}", ended.error().message);
      }
      sleep_for(next_delay(k_resubscribe, attempt, std::nullopt, random), stop);
    }
  }

  [[nodiscard]] Result<> subscribed() const override { return *state_.lock(); }

 private:
  Result<> listen(const std::stop_token& stop,
                  const std::function<void(const domain::DeploymentId&)>& on_cancel) {
    BUILDER_TRY_ASSIGN(const auto connection,
                       Connection::open(config_, "deployra-builder-cancel", stop));
    BUILDER_TRY(connection->call({"SUBSCRIBE", config_.cancel_channel}, stop));
    *state_.lock() = {};
    SteadyTime heard = Clock::now();
    for (;;) {
      auto message = connection->receive(stop, Clock::now() + k_ping_interval);
      if (message) {
        if (message->list.size() == 3 && message->list[0].text == "message") {
          handle(message->list[2].text, on_cancel);
        }
        heard = Clock::now();  // Behind it: handling takes its time when Redis does.
        continue;
      }
      if (message.error().kind != ErrorKind::timed_out) {
        return std::unexpected(std::move(message).error());
      }
      if (Clock::now() - heard > k_silence_limit) {
        return failure(ErrorKind::timed_out, "Redis is silent");
      }
      BUILDER_TRY(connection->send({"PING"}, stop));
    }
  }

  void handle(const std::string& text,
              const std::function<void(const domain::DeploymentId&)>& on_cancel) const {
    // The same reader as for jobs: it gives an id only when it is well-formed.
    const domain::ParsedJob message = domain::parse_job(text);
    if (!message.deployment_id) {
      log_.warning("a cancel message of {} bytes names no deployment", text.size());
      return;
    }
    on_cancel(*message.deployment_id);
  }

  const RedisConfig config_;
  const Log log_;
  mutable Sync<Result<>> state_{failure(ErrorKind::unavailable, "not connected to Redis yet")};
};

}  // namespace

std::unique_ptr<ports::CancelFeed> make_cancel_feed(RedisConfig config, Log log) {
  return std::make_unique<RedisCancelFeed>(std::move(config), std::move(log));
}

}  // namespace builder::adapters::redis
