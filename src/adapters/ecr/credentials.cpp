#include "adapters/ecr/credentials.hpp"

#include "adapters/ecr/credential_sources.hpp"
#include "adapters/ecr/refreshed_value.hpp"
#include "base/backoff.hpp"
#include "base/sync.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::adapters::ecr {
namespace {

constexpr std::chrono::minutes k_refresh_ahead{15};
constexpr std::chrono::minutes k_unusable_ahead{1};
constexpr int k_fetch_attempts = 3;

FetchCredentials nothing(std::string why) {
  return [why = std::move(why)](const std::stop_token&, SteadyTime) -> Result<Credentials> {
    return failure(ErrorKind::denied, why);
  };
}

struct Choice {
  std::string name;
  std::string setting;
  FetchCredentials fetch;
};

Choice of_profile(const CredentialSettings& settings, http::Client& client, const std::string& name,
                  std::string setting) {
  return {.name = "profile " + name,
          .setting = std::move(setting),
          .fetch = profile(settings, client, name)};
}

/// Whether the default profile is there to be used: a file may hold no more than a region.
bool has_default_profile(const CredentialSettings& settings) {
  const auto found = read_profile(profile_files(settings.environment), "default");
  return found && std::ranges::any_of(*found, [](const auto& entry) {
           const std::string_view name = entry.first;
           return name == "aws_access_key_id" || name == "role_arn" ||
                  name == "credential_process" || name.starts_with("sso_") ||
                  name == "login_session";
         });
}

Choice choose(const CredentialSettings& settings, http::Client& client) {
  if (settings.access_key_id.empty() != settings.secret_access_key.empty()) {
    return {.name = "environment",
            .setting = "AWS_ACCESS_KEY_ID",
            .fetch = nothing("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")};
  }
  if (auto keys = environment_keys(settings)) {
    return {.name = "environment",
            .setting = "AWS_ACCESS_KEY_ID",
            .fetch = static_keys(*std::move(keys))};
  }
  if (const std::string name = chosen_profile(settings.environment); !name.empty()) {
    return of_profile(settings, client, name, "AWS_PROFILE");
  }
  const Role role{.arn = setting(settings, "AWS_ROLE_ARN"),
                  .session = setting(settings, "AWS_ROLE_SESSION_NAME"),
                  .token_file = setting(settings, "AWS_WEB_IDENTITY_TOKEN_FILE")};
  if (!role.token_file.empty() && !role.arn.empty()) {
    return {.name = "web identity",
            .setting = "AWS_WEB_IDENTITY_TOKEN_FILE",
            .fetch = web_identity(settings, client, role)};
  }
  if (has_default_profile(settings)) {
    return of_profile(settings, client, "default", "AWS_SHARED_CREDENTIALS_FILE");
  }
  for (const char* const variable :
       {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}) {
    if (!setting(settings, variable).empty()) {
      return {.name = "container", .setting = variable, .fetch = container(settings, client)};
    }
  }
  if (setting(settings, "AWS_EC2_METADATA_DISABLED") == "true") {
    return {.name = "none",
            .setting = "AWS_ACCESS_KEY_ID",
            .fetch = nothing("no AWS credentials are configured: set AWS_ACCESS_KEY_ID and "
                             "AWS_SECRET_ACCESS_KEY")};
  }
  return {.name = "instance metadata",
          .setting = "AWS_ACCESS_KEY_ID",
          .fetch = instance_metadata(settings, client)};
}

class RefreshedSource final : public CredentialSource {
 public:
  RefreshedSource(CredentialSettings settings, http::Client& client, Log log)
      : settings_(std::move(settings)), client_(client), log_(std::move(log)) {
    choose_again();
  }

  Result<CredentialsPtr> get(const std::stop_token& stop, SteadyTime deadline) override {
    look_at_files();
    return value_.get([&] { return fetch(stop, deadline); }, stop, deadline);
  }

  void drop(const CredentialsPtr& stale) override { value_.drop(stale); }

  [[nodiscard]] std::string name() const override { return chosen_.lock()->name; }

  [[nodiscard]] std::string setting() const override { return chosen_.lock()->setting; }

 private:
  using Value = RefreshedValue<Credentials>;

  struct Chosen {
    std::string name;
    std::string setting;
    std::string stamp;  ///< Of the profiles' files, from which it may be read, or in place of them.
  };

  /// An agent has replaced them: their keys are the ones that count.
  void look_at_files() {
    const std::string stamp = chosen_.lock()->stamp;
    if (stamp != stamp_of(profile_files(settings_.environment))) {
      value_.refresh_now();
    }
  }

  Choice choose_again() {
    // Before they are read: a change in between is seen the next time.
    const std::string stamp = stamp_of(profile_files(settings_.environment));
    Choice choice = choose(settings_, client_);
    auto chosen = chosen_.lock();
    if (chosen->name != choice.name) {
      log_.info("AWS credentials: {}", choice.name);
    }
    *chosen = {.name = choice.name, .setting = choice.setting, .stamp = stamp};
    return choice;
  }

  Result<Value::Fetched> fetch(const std::stop_token& stop, SteadyTime deadline) {
    const Choice choice = choose_again();
    auto random = make_random();
    for (int attempt = 0;; ++attempt) {
      auto credentials = choice.fetch(stop, deadline);
      if (credentials) {
        return with_life(*std::move(credentials));
      }
      Error error = std::move(credentials).error();
      const bool again = error.is_transient() && attempt + 1 < k_fetch_attempts &&
                         std::chrono::steady_clock::now() < deadline;
      const BackoffPolicy policy{.base = std::chrono::milliseconds(500),
                                 .cap = std::chrono::milliseconds(2000)};
      if (!again || !sleep_for(next_delay(policy, attempt, error.retry_after, random), stop)) {
        return std::unexpected(
            std::move(error).with_context(fmt::format("AWS credentials ({})", choice.name)));
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

  const CredentialSettings settings_;
  http::Client& client_;
  const Log log_;
  mutable Sync<Chosen> chosen_;
  Value value_;
};

}  // namespace

std::string describe_credentials(const CredentialSettings& settings) {
  const auto client = http::make_client();
  return choose(settings, *client).name;
}

std::unique_ptr<CredentialSource> make_credentials(const CredentialSettings& settings,
                                                   http::Client& client, const Log& log) {
  return std::make_unique<RefreshedSource>(settings, client, log);
}

}  // namespace builder::adapters::ecr
