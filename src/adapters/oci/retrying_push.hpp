#pragma once

#include "adapters/oci/push_fault.hpp"
#include "base/backoff.hpp"
#include "domain/build_event.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"
#include "ports/registry_login.hpp"

#include <chrono>
#include <optional>
#include <random>

namespace builder::adapters::oci {

/// Between two tries. A registry that is away for minutes is pushed to soon after it is back.
inline constexpr BackoffPolicy k_push_backoff{.base = std::chrono::milliseconds(500),
                                              .cap = std::chrono::milliseconds(15'000)};

/// How long a registry that is away is asked again; nullopt: until the deadline.
using PushPatience = std::optional<std::chrono::milliseconds>;

/// What to do when a registry did not take an image, the same for every engine: a vanished
/// repository is made again once, a refused login renewed once, a busy or absent registry asked
/// again with a growing delay for as long as the deployment may last, or as whoever waits for it
/// has patience. Use: `login`, push, and after a failure `recover`, which either makes another try
/// worth while or gives the error to end with; at the end `succeeded`.
class RetryingPush {
 public:
  /// All of them outlive it.
  RetryingPush(ports::Registry& registry, ports::RegistryLogins& logins,
               const ports::JobContext& job, const ports::Repository& repository,
               domain::EventSink& events, PushPatience patience = {},
               BackoffPolicy backoff = k_push_backoff);

  Result<ports::SharedLogin> login();
  Result<> recover(PushFailure failed);
  void succeeded();

 private:
  Result<> wait(PushFault fault, Error error);
  Error judged(PushFault fault, Error error);
  [[nodiscard]] Error without_patience(PushFault fault, Error error) const;

  ports::Registry& registry_;
  ports::RegistryLogins& logins_;
  const ports::JobContext& job_;
  const ports::Repository& repository_;
  const std::string host_;  ///< Of the registry's API.
  domain::EventSink& events_;
  const PushPatience patience_;
  const BackoffPolicy backoff_;
  ports::SharedLogin login_;
  std::mt19937_64 random_;
  int waits_ = 0;
  SteadyTime first_wait_;
  bool registry_away_ = false;
  bool restored_ = false;
  bool renewed_ = false;
};

}  // namespace builder::adapters::oci
