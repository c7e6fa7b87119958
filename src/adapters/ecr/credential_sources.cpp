#include "adapters/ecr/credential_sources.hpp"

#include "adapters/ecr/api_errors.hpp"
#include "adapters/ecr/profiles.hpp"
#include "base/subprocess.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
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

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view k_blank = " \t\r\n";
  const auto first = text.find_first_not_of(k_blank);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(k_blank) - first + 1);
}

std::string element(std::string_view xml, std::string_view name) {
  const std::string open = fmt::format("<{}>", name);
  const auto begin = xml.find(open);
  if (begin == std::string_view::npos) {
    return {};
  }
  const auto rest = xml.substr(begin + open.size());
  const auto end = rest.find(fmt::format("</{}>", name));
  return end == std::string_view::npos ? std::string() : std::string(trimmed(rest.substr(0, end)));
}

/// An answer that is no success, as an error that quotes nothing of it but a known code.
std::unexpected<Error> refused(std::string_view who, const http::Response& response,
                               std::string_view code = {}) {
  const bool passing = response.status >= 500 || response.status == 429;
  return failure(
      passing ? ErrorKind::unavailable : ErrorKind::denied,
      fmt::format("{} answered {}{}{}", who, response.status, code.empty() ? "" : " ", code));
}

Result<Credentials> checked(Credentials credentials, std::string_view who) {
  if (credentials.key.access_key_id.empty() || credentials.key.secret_access_key.empty()) {
    return failure(ErrorKind::denied, fmt::format("{} handed out no keys", who));
  }
  return credentials;
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

/// `key`: who asks; null for requests that prove themselves.
Result<Credentials> ask_sts(const CredentialSettings& settings, http::Client& client,
                            const SigningKey* key, std::string body, const std::stop_token& stop,
                            SteadyTime deadline) {
  std::string endpoint =
      sts_endpoint(setting(settings, "AWS_ENDPOINT_URL_STS"), settings.endpoints);
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
  BUILDER_TRY_ASSIGN(const http::Response response, client.send(request, stop, deadline));
  if (!response.ok()) {
    const std::string code = element(response.body, "Code");
    if (code == "IDPCommunicationError") {
      return failure(ErrorKind::unavailable, "STS answered IDPCommunicationError");
    }
    return refused("STS", response, code);
  }
  return parse_sts_credentials(response.body);
}

}  // namespace

std::string setting(const CredentialSettings& settings, std::string_view variable) {
  return settings.environment ? settings.environment(variable).value_or("") : std::string();
}

std::optional<std::chrono::system_clock::time_point> parse_iso_time(const std::string& text) {
  std::tm parts{};
  if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) {
    return std::nullopt;
  }
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

namespace {

Result<Credentials> parse_json_credentials(std::string_view body, const char* token,
                                           std::string_view who) {
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  const auto text = [&answer](const char* name) {
    const auto field = answer.is_object() ? answer.find(name) : answer.end();
    return answer.is_object() && field != answer.end() && field->is_string()
               ? field->get<std::string>()
               : std::string();
  };
  return checked({.key = {.access_key_id = text("AccessKeyId"),
                          .secret_access_key = Secret(text("SecretAccessKey")),
                          .session_token = Secret(text(token))},
                  .expires_at = parse_iso_time(text("Expiration"))},
                 who);
}

}  // namespace

Result<Credentials> parse_json_credentials(std::string_view body) {
  return parse_json_credentials(body, "Token", "the credential endpoint");
}

Result<Credentials> parse_sts_credentials(std::string_view body) {
  return checked({.key = {.access_key_id = element(body, "AccessKeyId"),
                          .secret_access_key = Secret(element(body, "SecretAccessKey")),
                          .session_token = Secret(element(body, "SessionToken"))},
                  .expires_at = parse_iso_time(element(body, "Expiration"))},
                 "STS");
}

Result<Credentials> parse_process_credentials(std::string_view output) {
  const auto answer = nlohmann::json::parse(output, nullptr, false);
  if (!answer.is_object() || answer.value("Version", nlohmann::json()) != 1) {
    return failure(ErrorKind::denied, "credential_process does not print JSON with Version 1");
  }
  BUILDER_TRY_ASSIGN(Credentials credentials,
                     parse_json_credentials(output, "SessionToken", "credential_process"));
  return credentials;
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
    if (!response.ok()) {
      return refused("the container's credential endpoint", response);
    }
    return parse_json_credentials(response.body);
  };
}

FetchCredentials instance_metadata(const CredentialSettings& settings, http::Client& client) {
  return [settings, &client](const std::stop_token& stop,
                             SteadyTime deadline) -> Result<Credentials> {
    std::string base = setting(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base.empty()) {
      base = setting(settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") == "IPv6"
                 ? "http://[fd00:ec2::254]"
                 : "http://169.254.169.254";
    }
    while (base.ends_with('/')) {
      base.pop_back();
    }
    const auto call = [&](http::Method method, std::string_view path, http::Header header) {
      return client.send({.method = method,
                          .url = base + std::string(path),
                          .headers = {std::move(header)},
                          .timeout = std::chrono::seconds(1),
                          .direct = true},
                         stop, deadline);
    };
    auto session = call(http::Method::put, "/latest/api/token",
                        {.name = "x-aws-ec2-metadata-token-ttl-seconds", .value = "21600"});
    if (!session) {
      Error error = std::move(session).error();
      if (error.kind != ErrorKind::cancelled) {
        error.message +=
            "; no AWS credentials are configured and the instance metadata service does not "
            "answer (inside a container its hop limit must be 2)";
      }
      return std::unexpected(std::move(error));
    }
    if (!session->ok()) {
      return refused("the instance metadata service", *session);
    }
    const http::Header token{.name = "x-aws-ec2-metadata-token", .value = session->body};
    constexpr std::string_view k_roles = "/latest/meta-data/iam/security-credentials/";
    BUILDER_TRY_ASSIGN(const http::Response role, call(http::Method::get, k_roles, token));
    if (!role.ok() || trimmed(role.body).empty()) {
      return refused("the instance metadata service (has the instance a role?)", role);
    }
    const std::string_view name = trimmed(role.body);
    BUILDER_TRY_ASSIGN(
        const http::Response keys,
        call(http::Method::get,
             std::string(k_roles) + http::percent_encode(name.substr(0, name.find('\n'))), token));
    if (!keys.ok()) {
      return refused("the instance metadata service", keys);
    }
    BUILDER_TRY_ASSIGN(Credentials credentials, parse_json_credentials(keys.body));
    // When IMDS cannot renew, it hands out keys near or past their end that still work: use them
    // and ask again later ("static stability").
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
    return failure(ErrorKind::denied, fmt::format("profile '{}' {}", one_line(name), what));
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
    for (char** variable = ::environ; *variable != nullptr; ++variable) {
      command.environment.emplace_back(*variable);
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
                                   one_line(err.substr(0, 200))));
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
