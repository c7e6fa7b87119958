#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"
#include "ports/job_context.hpp"

#include <memory>
#include <string>

namespace builder::ports {

struct RegistryLogin {
  std::string username;
  Secret password;
};

/// Shared with the calls that still use a login that has been replaced.
using SharedLogin = std::shared_ptr<const RegistryLogin>;

/// Who we are at which registry. Thread-safe.
class RegistryLogins {
 public:
  virtual ~RegistryLogins() = default;
  /// The login for the registry whose API is at `host` (`name[:port]`; Docker Hub's is
  /// `registry-1.docker.io`); nullptr when there is none: anonymous. Quick as a rule: a token is
  /// kept for half of its life.
  virtual Result<SharedLogin> login(const JobContext& job, const std::string& host) = 0;
  /// The registry did not take `refused`: the next `login` gives another one, where there can be
  /// one. Of many calls that had the same login refused only the first has an effect.
  virtual void renew(const std::string& host, const SharedLogin& refused) = 0;
};

}  // namespace builder::ports
