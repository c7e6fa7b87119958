#include "adapters/oci/retrying_push.hpp"

#include "base/backoff.hpp"

#include <utility>

namespace builder::adapters::oci {
namespace {

constexpr int k_attempts = 6;
constexpr std::chrono::seconds k_probe_limit{10};
constexpr BackoffPolicy k_backoff{.base = std::chrono::milliseconds(1'000),
                                  .cap = std::chrono::milliseconds(20'000)};

}  // namespace

RetryingPush::RetryingPush(ports::Registry& registry, ports::RegistryLogins& logins,
                           const ports::JobContext& job, const ports::Repository& repository,
                           domain::EventSink& events, const Log& log)
    : registry_(registry),
      logins_(logins),
      job_(job),
      repository_(repository),
      events_(events),
      log_(log),
      random_(make_random()) {
}

Result<ports::SharedLogin> RetryingPush::login() {
  auto current = logins_.login(job_, repository_.host());
  if (!current) {
    return std::unexpected(for_customer(std::move(current).error()));
  }
  login_ = *current;
  return login_;
}

Result<> RetryingPush::recover(PushFailure failed) {
  Error& error = failed.error;
  if (error.kind == ErrorKind::cancelled || failed.fault == PushFault::none) {
    return std::unexpected(std::move(error));
  }
  switch (failed.fault) {
    case PushFault::repository_missing:
      if (!std::exchange(restored_, true)) {
        return registry_.restore_repository(job_, repository_);
      }
      break;
    case PushFault::token_expired:
    case PushFault::unauthorized:
      if (login_ != nullptr && !std::exchange(renewed_, true)) {
        logins_.renew(repository_.host(), login_);
        return {};
      }
      break;
    case PushFault::forbidden:
      if (login_ != nullptr && !std::exchange(renewed_, true)) {
        logins_.renew(repository_.host(), login_);
        return {};
      }
      return wait(std::move(error));
    case PushFault::registry_busy:
    case PushFault::registry_away:
    case PushFault::engine:
      return wait(std::move(error));
    default:
      break;
  }
  return std::unexpected(for_customer(std::move(error)));
}

Result<> RetryingPush::wait(Error error) {
  if (waits_ + 1 >= k_attempts) {
    return std::unexpected(away(std::move(error)));
  }
  log_.warning("push failed, trying again: {}", error.message);
  events_.warning("The image registry did not take the image; trying again");
  if (!sleep_for(next_delay(k_backoff, waits_++, error.retry_after, random_), job_.stop)) {
    return failure(ErrorKind::cancelled, "stopped");
  }
  if (std::chrono::steady_clock::now() > job_.deadline) {
    return std::unexpected(away(std::move(error)));
  }
  return {};
}

/// Not this image but every image is refused when the registry does not answer us either.
Error RetryingPush::away(Error error) {
  error = for_customer(std::move(error));
  if (std::chrono::steady_clock::now() + k_probe_limit >= job_.deadline) {
    return error;
  }
  const auto answers = registry_.probe(job_.within(k_probe_limit));
  if (answers || answers.error().kind == ErrorKind::cancelled) {
    return error;
  }
  return std::move(error).for_operator(answers.error().setting.empty() ? k_registry_setting
                                                                       : answers.error().setting);
}

}  // namespace builder::adapters::oci
