#include "adapters/oci/retrying_push.hpp"

#include "adapters/oci/reference.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace builder::adapters::oci {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

RetryingPush::RetryingPush(ports::Registry& registry, ports::RegistryLogins& logins,
                           const ports::JobContext& job, const ports::Repository& repository,
                           domain::EventSink& events, PushPatience patience, BackoffPolicy backoff)
    : registry_(registry),
      logins_(logins),
      job_(job),
      repository_(repository),
      host_(reference_of(repository, {}).host),
      events_(events),
      patience_(patience),
      backoff_(backoff),
      random_(make_random()) {
}

Result<ports::SharedLogin> RetryingPush::login() {
  auto current = logins_.login(job_, host_);
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
        logins_.renew(host_, login_);
        return {};
      }
      return std::unexpected(judged(failed.fault, std::move(error)));
    case PushFault::forbidden:
      if (login_ != nullptr && !std::exchange(renewed_, true)) {
        logins_.renew(host_, login_);
        return {};
      }
      return wait(failed.fault, std::move(error));
    case PushFault::registry_busy:
    case PushFault::registry_away:
    case PushFault::stranger:
    case PushFault::engine:
      return wait(failed.fault, std::move(error));
    case PushFault::denied:
    case PushFault::foreign:
      return std::unexpected(judged(failed.fault, std::move(error)));
    default:
      break;
  }
  return std::unexpected(for_customer(std::move(error)));
}

Result<> RetryingPush::wait(PushFault fault, Error error) {
  const auto delay = next_delay(backoff_, waits_, error.retry_after, random_);
  if (waits_ == 0) {
    first_wait_ = Clock::now();
  }
  if (patience_ && Clock::now() + delay - first_wait_ > *patience_) {
    return std::unexpected(without_patience(fault, std::move(error)));
  }
  // Time is kept to learn whose trouble it is.
  if (Clock::now() + delay + ports::k_probe_limit >= job_.deadline) {
    return std::unexpected(judged(fault, std::move(error)));
  }
  if (waits_++ == 0) {
    const bool is_engine = fault == PushFault::engine;
    registry_away_ = !is_engine;
    if (patience_) {
      job_.log.debug("push failed: {}", error.message);
      events_.warning(is_engine ? "The push broke off; trying again"
                                : fmt::format("The registry {} {}; trying again", host_,
                                              fault == PushFault::registry_away
                                                  ? "does not answer"
                                                  : "does not take the image"));
    } else {
      job_.log.warning("{}, the push is repeated until it is back: {}",
                       is_engine ? "the engine broke the push off" : "registry away",
                       error.message);
      events_.warning(is_engine
                          ? "The push broke off; it is repeated until it succeeds"
                          : "The image registry is away; the push is repeated until it is back");
    }
  } else {
    job_.log.debug("push failed again: {}", error.message);
  }
  events_.emit(domain::Activity{});  // Waiting is no silence of the build's.
  if (!sleep_for(delay, job_.stop)) {
    return failure(ErrorKind::cancelled, "stopped");
  }
  return {};
}

void RetryingPush::succeeded() {
  if (waits_ > 0) {
    job_.log.info("{}: pushed after {} repetitions",
                  registry_away_ ? "the registry is back" : "the engine is back", waits_);
    events_.info(registry_away_ ? "The image registry is back" : "The push succeeded");
  }
}

/// In the words of whoever named the registry. What an engine says of a connection ends with why.
Error RetryingPush::without_patience(PushFault fault, Error error) const {
  constexpr std::size_t k_longest_part = 80;
  if (fault == PushFault::engine) {
    return for_customer(std::move(error));
  }
  const std::size_t colon = error.message.rfind(": ");
  const std::string reason =
      colon == std::string::npos ? error.message : error.message.substr(colon + 2);
  error.customer = fmt::format(
      "The registry {} {}: {}", printable_line(host_, k_longest_part),
      fault == PushFault::registry_away ? "cannot be reached" : "does not take the image",
      printable_line(reason, k_longest_part));
  return error;
}

/// Every image is refused, and not this one, when the registry does not answer us either. When it
/// does, what it denies is this repository, and what stands in its way stands before this one.
Error RetryingPush::judged(PushFault fault, Error error) {
  error = for_customer(std::move(error));
  const auto answers = registry_.probe(job_.within(ports::k_probe_limit));
  if (answers) {
    error.of_one_service = true;
    const bool is_stranger = fault == PushFault::stranger || fault == PushFault::forbidden;
    return is_stranger ? std::move(error).for_operator(k_place_setting) : std::move(error);
  }
  return answers.error().kind == ErrorKind::cancelled
             ? std::move(error)
             : std::move(error).for_operator(
                   answers.error().setting.empty() ? k_registry_setting : answers.error().setting);
}

}  // namespace builder::adapters::oci
