#pragma once

#include "adapters/ecr/endpoints.hpp"
#include "adapters/ecr/profiles.hpp"
#include "adapters/ecr/sigv4.hpp"
#include "adapters/http/client.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/stop.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace builder::adapters::ecr {

struct Credentials {
  SigningKey key;
  std::optional<std::chrono::system_clock::time_point> expires_at;  ///< Absent: never.
};

using CredentialsPtr = std::shared_ptr<const Credentials>;  // Calls under way keep an older one.

/// Where the service's AWS identity comes from. Thread-safe; temporary keys are renewed in time.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  /// Errors: `denied` (nothing usable is configured, or the provider refused), `unavailable` and
  /// `timed_out` (the provider is away), `cancelled`. They name the source, never a value.
  virtual Result<CredentialsPtr> get(const std::stop_token& stop, SteadyTime deadline) = 0;
  /// AWS called these expired: the next `get` fetches new ones.
  virtual void drop(const CredentialsPtr& stale) = 0;
  [[nodiscard]] virtual std::string name() const = 0;
  /// The setting that chooses it: the one to look at when AWS refuses us.
  [[nodiscard]] virtual std::string setting() const = 0;
};

struct CredentialSettings {
  EndpointChoice endpoints;
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;
  /// The variables the other sources are configured by (`AWS_ROLE_ARN`, …).
  Environment environment;
  /// Names of variables that hold secrets for the worker's other peers: a `credential_process` does
  /// not get them.
  std::set<std::string, std::less<>> private_variables = {};
};

/// Which source `settings` choose, in words.
std::string describe_credentials(const CredentialSettings& settings);

/// Whose key it is, as STS says: an ARN. Needs no right.
Result<std::string> caller_identity(const CredentialSettings& settings, http::Client& client,
                                    const SigningKey& key, const std::stop_token& stop,
                                    SteadyTime deadline);

/// The first configured of: the keys given, the profile of AWS_PROFILE, web identity (EKS), the
/// default profile, container (ECS, EKS Pod Identity), instance metadata (IMDSv2). The choice is
/// made by what is configured, whenever keys are needed, and logged when it is another; a source
/// that then fails is not passed over. Profiles are read again when their files change. `client`
/// outlives it.
std::unique_ptr<CredentialSource> make_credentials(const CredentialSettings& settings,
                                                   http::Client& client, const Log& log);

}  // namespace builder::adapters::ecr
