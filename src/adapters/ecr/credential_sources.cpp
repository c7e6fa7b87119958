#include "adapters/ecr/credential_sources.hpp"

#include "adapters/ecr/api_errors.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <iterator>

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

Result<Credentials> parse_json_credentials(std::string_view body) {
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  const auto text = [&answer](const char* name) {
    const auto field = answer.is_object() ? answer.find(name) : answer.end();
    return answer.is_object() && field != answer.end() && field->is_string()
               ? field->get<std::string>()
               : std::string();
  };
  return checked({.key = {.access_key_id = text("AccessKeyId"),
                          .secret_access_key = Secret(text("SecretAccessKey")),
                          .session_token = Secret(text("Token"))},
                  .expires_at = parse_iso_time(text("Expiration"))},
                 "the credential endpoint");
}

Result<Credentials> parse_sts_credentials(std::string_view body) {
  return checked({.key = {.access_key_id = element(body, "AccessKeyId"),
                          .secret_access_key = Secret(element(body, "SecretAccessKey")),
                          .session_token = Secret(element(body, "SessionToken"))},
                  .expires_at = parse_iso_time(element(body, "Expiration"))},
                 "STS");
}

std::optional<SigningKey> parse_shared_file(std::string_view text, std::string_view profile) {
  SigningKey key;
  bool inside = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = trimmed(raw);
    if (line.starts_with('[') && line.ends_with(']')) {
      inside = trimmed(line.substr(1, line.size() - 2)) == profile;
      continue;
    }
    const auto equals = line.find('=');
    // Indented lines are sub-keys of a setting of no interest here.
    if (!inside || equals == std::string_view::npos || line.starts_with('#') ||
        raw.starts_with(' ') || raw.starts_with('\t')) {
      continue;
    }
    const auto name = trimmed(line.substr(0, equals));
    const std::string value(trimmed(line.substr(equals + 1)));
    if (name == "aws_access_key_id") {
      key.access_key_id = value;
    } else if (name == "aws_secret_access_key") {
      key.secret_access_key = Secret(value);
    } else if (name == "aws_session_token") {
      key.session_token = Secret(value);
    }
  }
  if (key.access_key_id.empty() || key.secret_access_key.empty()) {
    return std::nullopt;
  }
  return key;
}

std::optional<SigningKey> shared_file_keys(const CredentialSettings& settings) {
  std::string path = setting(settings, "AWS_SHARED_CREDENTIALS_FILE");
  if (path.empty()) {
    const std::string home = setting(settings, "HOME");
    if (home.empty()) {
      return std::nullopt;
    }
    path = home + "/.aws/credentials";
  }
  std::string profile = setting(settings, "AWS_PROFILE");
  const auto text = read_small_file(path);
  return text ? parse_shared_file(*text, profile.empty() ? "default" : profile) : std::nullopt;
}

FetchCredentials static_keys(SigningKey key) {
  return [key = std::move(key)](const std::stop_token&, SteadyTime) -> Result<Credentials> {
    return Credentials{.key = key, .expires_at = std::nullopt};
  };
}

FetchCredentials web_identity(const CredentialSettings& settings, http::Client& client) {
  return
      [settings, &client](const std::stop_token& stop, SteadyTime deadline) -> Result<Credentials> {
        // The kubelet replaces the file, so it is read again each time.
        BUILDER_TRY_ASSIGN(const std::string file,
                           read_small_file(setting(settings, "AWS_WEB_IDENTITY_TOKEN_FILE")));
        const Secret token{std::string(trimmed(file))};
        std::string session = setting(settings, "AWS_ROLE_SESSION_NAME");
        std::string endpoint = setting(settings, "AWS_ENDPOINT_URL_STS");
        if (endpoint.empty()) {
          endpoint = fmt::format("https://sts.{}.amazonaws.com{}", settings.region,
                                 settings.region.starts_with("cn-") ? ".cn" : "");
        }
        const http::Request request{
            .method = http::Method::post,
            .url = endpoint.ends_with('/') ? endpoint : endpoint + "/",
            .headers = {{.name = "Content-Type", .value = "application/x-www-form-urlencoded"}},
            .body = fmt::format(
                "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}"
                "&WebIdentityToken={}",
                http::percent_encode(setting(settings, "AWS_ROLE_ARN")),
                http::percent_encode(session.empty() ? "deployra-builder" : session),
                http::percent_encode(token.reveal()))};
        BUILDER_TRY_ASSIGN(const http::Response response, client.send(request, stop, deadline));
        if (!response.ok()) {
          const std::string code = element(response.body, "Code");
          if (code == "IDPCommunicationError") {
            return failure(ErrorKind::unavailable, "STS answered IDPCommunicationError");
          }
          return refused("STS", response, code);
        }
        return parse_sts_credentials(response.body);
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

}  // namespace builder::adapters::ecr
