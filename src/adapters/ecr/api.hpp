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
#include <string_view>

namespace builder::adapters::ecr {

/// For one call of a deployment with all its repetitions.
inline constexpr std::chrono::seconds k_call_limit{60};

/// A failed call: what to tell the caller, and AWS's code ("" when there was no answer).
struct ApiError {
  Error error;
  std::string code;
};

/// A JSON API of AWS: ECR's, or KMS's. Signs, retries what may be retried (up to six attempts),
/// renews expired credentials and corrects a wrong clock of this machine. What it does not answer
/// as AWS does, and what it refuses us, is the operator's (`Error::setting`). Thread-safe.
class Api {
 public:
  virtual ~Api() = default;
  virtual std::expected<nlohmann::json, ApiError> call(std::string_view operation,
                                                       const nlohmann::json& input,
                                                       const std::stop_token& stop,
                                                       SteadyTime deadline) = 0;
};

/// Which of them, as it is named to people, in signatures and in the header X-Amz-Target.
struct ApiService {
  std::string_view name;
  std::string_view scope;
  std::string_view target;
};

inline constexpr ApiService k_ecr_api{
    .name = "ECR", .scope = "ecr", .target = "AmazonEC2ContainerRegistry_V20150921"};
inline constexpr ApiService k_kms_api{.name = "KMS", .scope = "kms", .target = "TrentService"};

struct ApiSettings {
  std::string endpoint;  ///< From `api_endpoint`.
  /// Who reads that the API is not there, or something else in its place, looks at this setting.
  std::string endpoint_setting = "AWS_REGION";
  std::string region;
  ApiService service = k_ecr_api;
};

/// `client` and `credentials` outlive it.
std::unique_ptr<Api> make_api(ApiSettings settings, http::Client& client,
                              CredentialSource& credentials, Log log);

}  // namespace builder::adapters::ecr
