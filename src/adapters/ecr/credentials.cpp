#include "adapters/ecr/credentials.hpp"

#include "adapters/ecr/credential_sources.hpp"
#include "adapters/ecr/refreshed_value.hpp"
#include "base/backoff.hpp"

#include <fmt/format.h>

namespace builder::adapters::ecr {
namespace {

constexpr std::chrono::minutes k_refresh_ahead{15};
constexpr std::chrono::minutes k_unusable_ahead{1};
constexpr int k_attempts = 3;

class RefreshedSource final : public CredentialSource {
 public:
  RefreshedSource(std::string name, FetchCredentials fetch)
      : name_(std::move(name)), fetch_(std::move(fetch)) {}

  Result<CredentialsPtr> get(const std::stop_token& stop, SteadyTime deadline) override {
    return value_.get([&] { return fetch(stop, deadline); }, stop, deadline);
  }

  void drop(const CredentialsPtr& stale) override { value_.drop(stale); }

  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  using Value = RefreshedValue<Credentials>;

  Result<Value::Fetched> fetch(const std::stop_token& stop, SteadyTime deadline) {
    auto random = make_random();
    for (int attempt = 0;; ++attempt) {
      auto credentials = fetch_(stop, deadline);
      if (credentials) {
        return with_life(*std::move(credentials));
      }
      Error error = std::move(credentials).error();
      const bool again = error.is_transient() && attempt + 1 < k_attempts &&
                         std::chrono::steady_clock::now() < deadline;
      const BackoffPolicy policy{.base = std::chrono::milliseconds(500),
                                 .cap = std::chrono::milliseconds(2000)};
      if (!again || !sleep_for(next_delay(policy, attempt, error.retry_after, random), stop)) {
        return std::unexpected(
            std::move(error).with_context(fmt::format("AWS credentials ({})", name_)));
      }
    }
  }

  static Value::Fetched with_life(Credentials credentials) {
    using Time = Value::Time;
    const auto end = credentials.expires_at;
    auto shared = std::make_shared<const Credentials>(std::move(credentials));
    if (!end) {
      return {.value = std::move(shared), .refresh_at = Time::max(), .unusable_at = Time::max()};
    }
    return {.value = std::move(shared),
            .refresh_at = *end - k_refresh_ahead,
            .unusable_at = *end - k_unusable_ahead};
  }

  std::string name_;
  FetchCredentials fetch_;
  Value value_;
};

struct Choice {
  std::string name;
  FetchCredentials fetch;
};

FetchCredentials nothing(std::string why) {
  return [why = std::move(why)](const std::stop_token&, SteadyTime) -> Result<Credentials> {
    return failure(ErrorKind::denied, why);
  };
}

Choice choose(const CredentialSettings& settings, http::Client& client) {
  const bool has_id = !settings.access_key_id.empty();
  const bool has_secret = !settings.secret_access_key.empty();
  if (has_id != has_secret) {
    return {"environment",
            nothing("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")};
  }
  if (has_id) {
    return {"environment", static_keys({.access_key_id = settings.access_key_id,
                                        .secret_access_key = settings.secret_access_key,
                                        .session_token = settings.session_token})};
  }
  if (!setting(settings, "AWS_WEB_IDENTITY_TOKEN_FILE").empty() &&
      !setting(settings, "AWS_ROLE_ARN").empty()) {
    return {"web identity", web_identity(settings, client)};
  }
  if (auto keys = shared_file_keys(settings)) {
    return {"shared credentials file", static_keys(*std::move(keys))};
  }
  if (!setting(settings, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").empty() ||
      !setting(settings, "AWS_CONTAINER_CREDENTIALS_FULL_URI").empty()) {
    return {"container", container(settings, client)};
  }
  if (setting(settings, "AWS_EC2_METADATA_DISABLED") == "true") {
    return {"none", nothing("no AWS credentials are configured: set AWS_ACCESS_KEY_ID and "
                            "AWS_SECRET_ACCESS_KEY")};
  }
  return {"instance metadata", instance_metadata(settings, client)};
}

}  // namespace

std::unique_ptr<CredentialSource> make_credentials(const CredentialSettings& settings,
                                                   http::Client& client, const Log& log) {
  Choice choice = choose(settings, client);
  log.info("AWS credentials: {}", choice.name);
  return std::make_unique<RefreshedSource>(std::move(choice.name), std::move(choice.fetch));
}

}  // namespace builder::adapters::ecr
