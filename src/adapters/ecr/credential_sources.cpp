#include "adapters/ecr/credential_sources.hpp"

#include "adapters/ecr/credential_answers.hpp"
#include "adapters/ecr/profiles.hpp"
#include "adapters/http/stranger.hpp"
#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/subprocess.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>
#include <fstream>
#include <set>
#include <utility>

namespace builder::adapters::ecr {
namespace {

constexpr std::size_t k_largest_file = 64U << 10U;

Result<std::string> read_small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return failure(ErrorKind::denied, "cannot read " + path);
  }
  std::string text(k_largest_file, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::string role_request(std::string_view action, const Role& role) {
  std::string body =
      fmt::format("Action={}&Version=2011-06-15&RoleArn={}&RoleSessionName={}", action,
                  http::percent_encode(role.arn),
                  http::percent_encode(role.session.empty() ? "deployra-builder" : role.session));
  if (!role.duration.empty()) {
    body += "&DurationSeconds=" + http::percent_encode(role.duration);
  }
  if (!role.external_id.empty()) {
    body += "&ExternalId=" + http::percent_encode(role.external_id);
  }
  return body;
}

/// The XML that STS answers; it has an element `mark`. `key`: who asks; null for requests that
/// prove themselves.
Result<std::string> call_sts(const CredentialSettings& settings, http::Client& client,
                             const SigningKey* key, std::string body, std::string_view mark,
                             const std::stop_token& stop, SteadyTime deadline) {
  const std::string chosen = setting(settings, "AWS_ENDPOINT_URL_STS");
  std::string endpoint = sts_endpoint(chosen, settings.endpoints);
  endpoint += endpoint.ends_with('/') ? "" : "/";
  http::Request request{
      .method = http::Method::post,
      .url = endpoint,
      .headers = {{.name = "Content-Type", .value = "application/x-www-form-urlencoded"}},
      .body = std::move(body)};
  if (key != nullptr) {
    SignableRequest signable{.method = "POST", .headers = request.headers, .body = request.body};
    signable.headers.push_back({.name = "Host", .value = host_header(endpoint)});
    const auto added =
        sign(signable, *key, settings.endpoints.region, "sts", std::chrono::system_clock::now());
    request.headers = std::move(signable.headers);
    request.headers.insert(request.headers.end(), added.begin(), added.end());
  }
  BUILDER_TRY_ASSIGN(http::Response response, client.send(request, stop, deadline));
  if (!response.ok()) {
    const std::string code = element(response.body, "Code");
    if (code == "IDPCommunicationError") {
      return failure(ErrorKind::unavailable, "STS answered IDPCommunicationError");
    }
    if (!code.empty() || may_pass(response)) {
      return refused("STS", response, code);
    }
  }
  if (!response.ok() || element(response.body, mark).empty()) {
    return not_theirs(endpoint, "STS", response,
                      chosen.empty() ? "AWS_REGION" : "AWS_ENDPOINT_URL_STS");
  }
  return std::move(response.body);
}

Result<Credentials> ask_sts(const CredentialSettings& settings, http::Client& client,
                            const SigningKey* key, std::string body, const std::stop_token& stop,
                            SteadyTime deadline) {
  BUILDER_TRY_ASSIGN(const std::string answer, call_sts(settings, client, key, std::move(body),
                                                        "AccessKeyId", stop, deadline));
  return parse_sts_credentials(answer);
}

}  // namespace

Result<std::string> caller_identity(const CredentialSettings& settings, http::Client& client,
                                    const SigningKey& key, const std::stop_token& stop,
                                    SteadyTime deadline) {
  BUILDER_TRY_ASSIGN(const std::string answer,
                     call_sts(settings, client, &key, "Action=GetCallerIdentity&Version=2011-06-15",
                              "Arn", stop, deadline));
  return element(answer, "Arn");
}

std::string setting(const CredentialSettings& settings, std::string_view variable) {
  return settings.environment ? settings.environment(variable).value_or("") : std::string();
}

std::optional<SigningKey> environment_keys(const CredentialSettings& settings) {
  if (settings.access_key_id.empty() || settings.secret_access_key.empty()) {
    return std::nullopt;
  }
  return SigningKey{.access_key_id = settings.access_key_id,
                    .secret_access_key = settings.secret_access_key,
                    .session_token = settings.session_token};
}

FetchCredentials static_keys(SigningKey key) {
  return [key = std::move(key)](const std::stop_token&, SteadyTime) -> Result<Credentials> {
    return Credentials{.key = key, .expires_at = std::nullopt};
  };
}

FetchCredentials web_identity(const CredentialSettings& settings, http::Client& client, Role role) {
  return [settings, &client, role = std::move(role)](const std::stop_token& stop,
                                                     SteadyTime deadline) -> Result<Credentials> {
    // The kubelet replaces the file, so it is read again each time.
    BUILDER_TRY_ASSIGN(const std::string file, read_small_file(role.token_file));
    const Secret token{std::string(trimmed(file))};
    return ask_sts(settings, client, nullptr,
                   role_request("AssumeRoleWithWebIdentity", role) +
                       "&WebIdentityToken=" + http::percent_encode(token.reveal()),
                   stop, deadline);
  };
}

bool is_allowed_container_uri(std::string_view uri) {
  if (uri.starts_with("https://")) {
    return true;
  }
  constexpr std::string_view k_http = "http://";
  if (!uri.starts_with(k_http)) {
    return false;
  }
  const auto authority = uri.substr(k_http.size(), uri.find('/', k_http.size()) - k_http.size());
  constexpr std::array<std::string_view, 6> k_hosts{
      "localhost", "127.0.0.1", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "[::1]"};
  return std::ranges::any_of(k_hosts, [&](std::string_view host) {
    return authority == host ||
           (authority.starts_with(host) && authority.substr(host.size()).starts_with(':') &&
            authority.find_first_not_of("0123456789", host.size() + 1) == std::string_view::npos);
  });
}

FetchCredentials container(const CredentialSettings& settings, http::Client& client) {
  return [settings, &client](const std::stop_token& stop,
                             SteadyTime deadline) -> Result<Credentials> {
    const std::string relative = setting(settings, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const std::string uri = relative.empty()
                                ? setting(settings, "AWS_CONTAINER_CREDENTIALS_FULL_URI")
                                : "http://169.254.170.2" + relative;
    if (!is_allowed_container_uri(uri)) {
      return failure(ErrorKind::denied,
                     "AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that plain http may not be "
                     "spoken to");
    }
    http::Request request{
        .url = uri, .headers = {}, .timeout = std::chrono::seconds(2), .direct = true};
    Secret token(setting(settings, "AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    if (const std::string path = setting(settings, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        !path.empty()) {
      BUILDER_TRY_ASSIGN(const std::string text, read_small_file(path));
      token = Secret(std::string(trimmed(text)));
    }
    if (!token.empty()) {
      request.headers.push_back({.name = "Authorization", .value = token.reveal()});
    }
    BUILDER_TRY_ASSIGN(const http::Response response, client.send(request, stop, deadline));
    constexpr std::string_view k_who = "the container's credential endpoint";
    if (says_keys(response)) {
      return parse_json_credentials(response.body);
    }
    const bool is_theirs = !response.ok() && parse_json(response.body).is_object();
    return is_theirs || may_pass(response)
               ? refused(k_who, response, code_of(response))
               : not_theirs(uri, k_who, response,
                            relative.empty() ? "AWS_CONTAINER_CREDENTIALS_FULL_URI"
                                             : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  };
}

namespace {

/// The instance metadata service, version 2.
class Metadata {
 public:
  Metadata(const CredentialSettings& settings, http::Client& client, const std::stop_token& stop,
           SteadyTime deadline)
      : client_(client), stop_(stop), deadline_(deadline) {
    base_ = setting(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (!base_.empty()) {
      setting_ = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    } else {
      base_ = setting(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") == "IPv6"
                  ? "http://[fd00:ec2::254]"
                  : "http://169.254.169.254";
    }
    while (base_.ends_with('/')) {
      base_.pop_back();
    }
  }

  Result<Credentials> credentials() {
    BUILDER_TRY_ASSIGN(const std::string token, session());
    const http::Header header{.name = "x-aws-ec2-metadata-token", .value = token};
    constexpr std::string_view k_roles = "/latest/meta-data/iam/security-credentials/";
    BUILDER_TRY_ASSIGN(const http::Response role, call(http::Method::get, k_roles, header));
    if (role.status == 404 || (role.ok() && trimmed(role.body).empty())) {
      return refused("the instance metadata service (has the instance a role?)", role);
    }
    const std::string_view names = trimmed(role.body);
    const std::string_view name = names.substr(0, names.find('\n'));
    if (!role.ok() || !is_word(trimmed(name))) {
      return no_answer(role);
    }
    BUILDER_TRY_ASSIGN(const http::Response keys,
                       call(http::Method::get,
                            std::string(k_roles) + http::percent_encode(trimmed(name)), header));
    if (says_keys(keys)) {
      return parse_json_credentials(keys.body);
    }
    const std::string code = code_of(keys);
    return code.empty() ? no_answer(keys) : refused("the instance metadata service", keys, code);
  }

 private:
  Result<http::Response> call(http::Method method, std::string_view path, http::Header header) {
    return client_.send({.method = method,
                         .url = base_ + std::string(path),
                         .headers = {std::move(header)},
                         .timeout = std::chrono::seconds(1),
                         .direct = true},
                        stop_, deadline_);
  }

  Result<std::string> session() {
    auto answer = call(http::Method::put, "/latest/api/token",
                       {.name = "x-aws-ec2-metadata-token-ttl-seconds", .value = "21600"});
    if (!answer) {
      Error error = std::move(answer).error();
      if (error.kind != ErrorKind::cancelled) {
        error.message +=
            "; no AWS credentials are configured and the instance metadata service does not "
            "answer (inside a container its hop limit must be 2)";
      }
      return std::unexpected(std::move(error));
    }
    if (!answer->ok() || !is_word(answer->body)) {
      return no_answer(*answer);
    }
    return std::move(answer->body);
  }

  /// Its errors are pages as anybody's, but for the name of their server.
  [[nodiscard]] std::unexpected<Error> no_answer(const http::Response& response) const {
    const bool is_theirs = response.header("Server").value_or("") == "EC2ws";
    return is_theirs || may_pass(response)
               ? refused("the instance metadata service", response)
               : not_theirs(base_,
                            "the instance metadata service, which is asked because no AWS "
                            "credentials are configured",
                            response, setting_);
  }

  http::Client& client_;
  const std::stop_token& stop_;
  const SteadyTime deadline_;
  std::string base_;
  std::string_view setting_ = "AWS_ACCESS_KEY_ID";
};

}  // namespace

FetchCredentials instance_metadata(const CredentialSettings& settings, http::Client& client) {
  return
      [settings, &client](const std::stop_token& stop, SteadyTime deadline) -> Result<Credentials> {
        BUILDER_TRY_ASSIGN(Credentials credentials,
                           Metadata(settings, client, stop, deadline).credentials());
        // When IMDS cannot renew, it hands out keys near or past their end that still work: use
        // them and ask again later ("static stability").
        const auto soon = std::chrono::system_clock::now() + std::chrono::minutes(15);
        if (credentials.expires_at && *credentials.expires_at < soon) {
          credentials.expires_at = soon + std::chrono::minutes(5);
        }
        return credentials;
      };
}

namespace {

/// Follows the profiles of one fetch: each may take on a role with the keys of another.
class ProfileReader {
 public:
  ProfileReader(const CredentialSettings& settings, http::Client& client,
                const std::stop_token& stop, SteadyTime deadline)
      : settings_(settings),
        client_(client),
        stop_(stop),
        deadline_(deadline),
        files_(profile_files(settings.environment)) {}

  Result<Credentials> credentials_of(const std::string& name) {
    const auto profile = read_profile(files_, name);
    if (!profile) {
      return bad(name,
                 fmt::format("is neither in {} nor in {}", files_.credentials, files_.config));
    }
    const bool again = !visited_.insert(name).second;
    // A profile may name itself as the source of its role: then its keys are meant.
    if (again && value(*profile, "aws_access_key_id").empty()) {
      return bad(name, "leads back to itself (source_profile)");
    }
    if (!again && !value(*profile, "role_arn").empty()) {
      return of_role(name, *profile);
    }
    if (auto keys = keys_of(*profile)) {
      return Credentials{.key = *std::move(keys), .expires_at = std::nullopt};
    }
    if (!value(*profile, "credential_process").empty()) {
      return of_process(name, value(*profile, "credential_process"));
    }
    for (const char* needs_a_person :
         {"sso_session", "sso_start_url", "sso_account_id", "login_session"}) {
      if (!value(*profile, needs_a_person).empty()) {
        return bad(name, fmt::format("signs in with a browser ({}), which a service cannot: use "
                                     "keys, a role or credential_process",
                                     needs_a_person));
      }
    }
    return bad(name, "holds no credentials (keys, role_arn or credential_process)");
  }

 private:
  static std::string value(const Profile& profile, std::string_view name) {
    const auto found = profile.find(name);
    return found == profile.end() ? std::string() : found->second;
  }

  static std::unexpected<Error> bad(const std::string& name, std::string_view what) {
    return failure(ErrorKind::denied, fmt::format("profile '{}' {}", printable_line(name), what));
  }

  static std::optional<SigningKey> keys_of(const Profile& profile) {
    SigningKey key{.access_key_id = value(profile, "aws_access_key_id"),
                   .secret_access_key = Secret(value(profile, "aws_secret_access_key")),
                   .session_token = Secret(value(profile, "aws_session_token"))};
    return key.access_key_id.empty() || key.secret_access_key.empty() ? std::nullopt
                                                                      : std::optional(key);
  }

  Result<Credentials> of_role(const std::string& name, const Profile& profile) {
    const Role role{.arn = value(profile, "role_arn"),
                    .session = value(profile, "role_session_name"),
                    .token_file = value(profile, "web_identity_token_file"),
                    .external_id = value(profile, "external_id"),
                    .duration = value(profile, "duration_seconds")};
    if (!role.token_file.empty()) {
      return web_identity(settings_, client_, role)(stop_, deadline_);
    }
    if (!value(profile, "mfa_serial").empty()) {
      return bad(name, "asks for a code of a person (mfa_serial), which a service has not");
    }
    const std::string source = value(profile, "source_profile");
    const std::string origin = value(profile, "credential_source");
    if (source.empty() == origin.empty()) {
      return bad(name, "has a role_arn and must name either source_profile or credential_source");
    }
    BUILDER_TRY_ASSIGN(const Credentials own,
                       source.empty() ? of_origin(name, origin) : credentials_of(source));
    return ask_sts(settings_, client_, &own.key, role_request("AssumeRole", role), stop_,
                   deadline_);
  }

  Result<Credentials> of_origin(const std::string& name, const std::string& origin) {
    if (origin == "Environment") {
      auto keys = environment_keys(settings_);
      return keys ? Result<Credentials>(
                        Credentials{.key = *std::move(keys), .expires_at = std::nullopt})
                  : bad(name,
                        "takes its keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                        "which are not set");
    }
    if (origin == "EcsContainer") {
      return container(settings_, client_)(stop_, deadline_);
    }
    if (origin == "Ec2InstanceMetadata") {
      return instance_metadata(settings_, client_)(stop_, deadline_);
    }
    return bad(name,
               "has a credential_source that is none of Environment, EcsContainer and "
               "Ec2InstanceMetadata");
  }

  Result<Credentials> of_process(const std::string& name, const std::string& text) {
    Command command;
    auto words = split_command(text);
    if (!words) {
      return bad(name, "credential_process: " + words.error().message);
    }
    command.arguments = *std::move(words);
    for (char** entry = ::environ; *entry != nullptr; ++entry) {
      const std::string_view variable(*entry);
      if (!settings_.private_variables.contains(variable.substr(0, variable.find('=')))) {
        command.environment.emplace_back(variable);
      }
    }
    std::string out;
    std::string err;
    const auto take = [](std::string& output) {
      return [&output](std::string_view chunk) {
        output.append(chunk.substr(0, k_largest_file - std::min(k_largest_file, output.size())));
      };
    };
    const auto limit =
        std::min(deadline_, std::chrono::steady_clock::now() + std::chrono::seconds(60));
    auto finished = run_process(command, take(out), take(err), stop_, limit);
    if (!finished) {
      return std::unexpected(std::move(finished).error().with_context("credential_process"));
    }
    if (finished->exit_code != 0) {
      return bad(name, fmt::format("credential_process ended with {}: {}", finished->exit_code,
                                   printable_line(err.substr(0, 200))));
    }
    return parse_process_credentials(out);
  }

  const CredentialSettings& settings_;
  http::Client& client_;
  const std::stop_token& stop_;
  const SteadyTime deadline_;
  const ProfileFiles files_;
  std::set<std::string> visited_;
};

}  // namespace

FetchCredentials profile(const CredentialSettings& settings, http::Client& client,
                         std::string name) {
  return [settings, &client, name = std::move(name)](const std::stop_token& stop,
                                                     SteadyTime deadline) {
    return ProfileReader(settings, client, stop, deadline).credentials_of(name);
  };
}

}  // namespace builder::adapters::ecr
