#pragma once

#include "adapters/ecr/credentials.hpp"
#include "adapters/http/client.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <expected>
#include <memory>
#include <string>

namespace builder::adapters::ecr {

/// For one call of a deployment with all its repetitions.
inline constexpr std::chrono::seconds k_call_limit{60};

/// A failed call: what to tell the caller, and ECR's code ("" when there was no answer).
struct ApiError {
  Error error;
  std::string code;
};

/// ECR's JSON API. Signs, retries what may be retried (up to six attempts), renews expired
/// credentials and corrects a wrong clock of this machine. What it does not answer as ECR does, and
/// what it refuses us, is the operator's (`Error::setting`). Thread-safe.
class Api {
 public:
  virtual ~Api() = default;
  virtual std::expected<nlohmann::json, ApiError> call(std::string_view operation,
                                                       const nlohmann::json& input,
                                                       const std::stop_token& stop,
                                                       SteadyTime deadline) = 0;
};

struct ApiSettings {
  std::string endpoint;  ///< From `api_endpoint`.
  /// Who reads that the API is not there, or something else in its place, looks at this setting.
  std::string endpoint_setting = "AWS_REGION";
  std::string region;
};

/// `client` and `credentials` outlive it.
std::unique_ptr<Api> make_api(ApiSettings settings, http::Client& client,
                              CredentialSource& credentials, Log log);

}  // namespace builder::adapters::ecr
