#include "adapters/oci/client.hpp"

#include "adapters/oci/challenge.hpp"
#include "adapters/oci/push_fault.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <utility>

namespace builder::adapters::oci {
namespace {

using nlohmann::json;
using ports::JobContext;
using ports::SharedLogin;
using Clock = std::chrono::steady_clock;

constexpr std::size_t k_manifest_limit = 4U << 20U;  // ECR's, and what the protocol suggests.
constexpr std::size_t k_token_limit = 256U << 10U;
constexpr int k_redirects = 3;
/// Learn how to ask, renew the login, and once more when the registry has changed its mind.
constexpr int k_auth_rounds = 3;
constexpr std::string_view k_accept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

struct Call {
  http::Method method = http::Method::get;
  const Reference& reference;
  std::string path;  ///< Behind the repository's name.
  std::string actions = "pull";
  std::vector<http::Header> headers = {};
  std::string body = {};
  std::size_t limit = k_manifest_limit;
};

std::string text_of(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The answer is a registry's own.
bool has_words(const http::Response& response) {
  const auto body = json::parse(response.body, nullptr, false);
  return body.is_object() && body.contains("errors");
}

/// `CODE: message` of a registry's error body, or its beginning.
std::string words_of(const http::Response& response) {
  const auto body = json::parse(response.body, nullptr, false);
  if (body.is_object()) {
    if (const auto errors = body.find("errors"); errors != body.end() && errors->is_array() &&
                                                 !errors->empty() && errors->front().is_object()) {
      return text_of(errors->front(), "code") + ": " + text_of(errors->front(), "message");
    }
  }
  return one_line(response.body.substr(0, 200));
}

bool is_expired_token(const http::Response& response) {
  const PushFault fault = classify_push_error(words_of(response));
  // An answer to HEAD has no words.
  return response.status == 403 && (fault == PushFault::token_expired || response.body.empty());
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

ErrorKind kind_of(const http::Response& response) {
  if (response.status == 404) {
    return ErrorKind::not_found;
  }
  if (response.status == 401 || (response.status == 403 && has_words(response))) {
    return ErrorKind::denied;
  }
  // A 403 without a registry's words is of something before it.
  if (response.status == 403 || response.status == 408 || response.status == 429 ||
      response.status >= 500) {
    return ErrorKind::unavailable;
  }
  return classify_push_error(words_of(response)) == PushFault::tag_immutable ? ErrorKind::conflict
                                                                             : ErrorKind::internal;
}

std::string media_type_of(const http::Response& response) {
  std::string type(response.header("Content-Type").value_or(""));
  type = type.substr(0, type.find(';'));
  if (type.empty() || type == "application/json") {
    const auto body = json::parse(response.body, nullptr, false);
    type = body.is_object() ? text_of(body, "mediaType") : "";
  }
  return type;
}

class HttpClient final : public Client {
 public:
  HttpClient(ClientSettings settings, http::Client& http, ports::RegistryLogins& logins, Log log)
      : settings_(settings), http_(http), logins_(logins), log_(std::move(log)) {}

  Result<> ping(const JobContext& job, const std::string& host) override {
    const Reference registry{.host = host, .repository = {}, .tag = {}, .digest = {}};
    BUILDER_TRY(call(job, {.reference = registry, .path = {}, .actions = {}}));
    return {};
  }

  Result<Manifest> manifest(const JobContext& job, const Reference& reference) override {
    BUILDER_TRY_ASSIGN(http::Response response,
                       call(job, {.reference = reference,
                                  .path = "manifests/" + reference.selector(),
                                  .headers = {{"Accept", std::string(k_accept)}}}));
    Manifest manifest{.bytes = std::move(response.body), .media_type = {}, .digest = {}};
    manifest.digest = "sha256:" + sha256_hex(manifest.bytes);
    response.body = manifest.bytes;
    manifest.media_type = media_type_of(response);
    const std::string claimed(response.header("Docker-Content-Digest").value_or(manifest.digest));
    if ((!reference.digest.empty() && manifest.digest != reference.digest) ||
        (is_digest(claimed) && claimed != manifest.digest)) {
      return failure(ErrorKind::internal, fmt::format("{}: the registry sent something else: {}",
                                                      reference.str(), manifest.digest));
    }
    return manifest;
  }

  Result<Descriptor> head(const JobContext& job, const Reference& reference) override {
    BUILDER_TRY_ASSIGN(const http::Response response,
                       call(job, {.method = http::Method::head,
                                  .reference = reference,
                                  .path = "manifests/" + reference.selector(),
                                  .headers = {{"Accept", std::string(k_accept)}}}));
    Descriptor found{.digest = std::string(response.header("Docker-Content-Digest").value_or("")),
                     .media_type = media_type_of(response)};
    if (!is_digest(found.digest)) {
      // Not every registry names it; then the bytes do.
      BUILDER_TRY_ASSIGN(Manifest whole, manifest(job, reference));
      found = {.digest = std::move(whole.digest), .media_type = std::move(whole.media_type)};
    }
    return found;
  }

  Result<> put(const JobContext& job, const Reference& reference,
               const Manifest& manifest) override {
    BUILDER_TRY_ASSIGN(const http::Response response,
                       call(job, {.method = http::Method::put,
                                  .reference = reference,
                                  .path = "manifests/" + reference.tag,
                                  .actions = "pull,push",
                                  .headers = {{"Content-Type", manifest.media_type}},
                                  .body = manifest.bytes}));
    std::string digest(response.header("Docker-Content-Digest").value_or(""));
    if (digest.empty()) {
      BUILDER_TRY_ASSIGN(const Descriptor there, head(job, reference));
      digest = there.digest;
    }
    if (digest != manifest.digest) {
      return failure(ErrorKind::internal, fmt::format("{} became {} instead of {}", reference.str(),
                                                      digest, manifest.digest));
    }
    return {};
  }

  Result<std::string> blob(const JobContext& job, const Reference& reference,
                           const std::string& digest, std::size_t limit) override {
    if (!is_digest(digest)) {
      return failure(ErrorKind::internal, "'" + one_line(digest) + "' is no digest");
    }
    BUILDER_TRY_ASSIGN(
        http::Response response,
        call(job, {.reference = reference, .path = "blobs/" + digest, .limit = limit}));
    if ("sha256:" + sha256_hex(response.body) != digest) {
      return failure(ErrorKind::internal, fmt::format("{}/{}: the blob is not what its digest says",
                                                      reference.host, reference.repository));
    }
    return std::move(response.body);
  }

 private:
  struct Token {
    std::string value;
    SteadyTime until;
  };

  /// The exchange and its repetitions; an answer other than 2xx is an error.
  Result<http::Response> call(const JobContext& job, const Call& call) {
    auto random = make_random();
    for (int attempt = 0;; ++attempt) {
      auto response = exchange(job, call);
      if (response && response->ok()) {
        return response;
      }
      Error error = response ? refusal(call, *response) : std::move(response).error();
      if (!error.is_transient() || attempt + 1 >= settings_.attempts) {
        return std::unexpected(std::move(error));
      }
      const auto delay = next_delay(settings_.backoff, attempt, error.retry_after, random);
      if (Clock::now() + delay >= job.deadline) {
        return std::unexpected(std::move(error));
      }
      log_.debug("registry, trying again: {}", error.message);
      if (!sleep_for(delay, job.stop)) {
        return failure(ErrorKind::cancelled, "stopped");
      }
    }
  }

  static std::string url_of(const Call& call) {
    const std::string& repository = call.reference.repository;
    return fmt::format("{}://{}/v2/{}{}{}", is_plain_http(call.reference.host) ? "http" : "https",
                       call.reference.host, repository, repository.empty() ? "" : "/", call.path);
  }

  static Error refusal(const Call& call, const http::Response& response) {
    return {.kind = kind_of(response),
            .message = fmt::format("{} {}: {} {}", http::to_string(call.method), url_of(call),
                                   response.status, words_of(response)),
            .customer = {},
            .retry_after = response.retry_after()};
  }

  /// One exchange with whatever login the registry asks for.
  Result<http::Response> exchange(const JobContext& job, const Call& call) {
    const std::string& host = call.reference.host;
    std::optional<Challenge> challenge = remembered(host);
    bool renewed = false;
    for (int round = 0;; ++round) {
      SharedLogin login;
      std::string authorization;
      if (challenge) {
        BUILDER_TRY_ASSIGN(login, logins_.login(job, host));
        BUILDER_TRY_ASSIGN(authorization, authorize(job, call, *challenge, login));
      }
      BUILDER_TRY_ASSIGN(http::Response response, send(job, call, authorization));
      if (response.status != 401 && !is_expired_token(response)) {
        return is_redirect(response.status) && call.method == http::Method::get
                   ? follow(job, call, std::move(response))
                   : std::move(response);
      }
      const auto asked = response.status == 401
                             ? parse_challenge(response.header("WWW-Authenticate").value_or(""))
                             : challenge;
      if (!asked || round == k_auth_rounds) {
        return response;
      }
      if (challenge != asked) {
        challenge = asked;
        remembered_.lock()->insert_or_assign(host, *asked);
        continue;
      }
      if (renewed || authorization.empty()) {
        return response;
      }
      renewed = true;
      tokens_.lock()->erase(token_key(call, *challenge));
      if (login != nullptr) {
        logins_.renew(host, login);
      }
    }
  }

  std::optional<Challenge> remembered(const std::string& host) {
    auto known = remembered_.lock();
    const auto found = known->find(host);
    return found == known->end() ? std::nullopt : std::optional(found->second);
  }

  Result<http::Response> send(const JobContext& job, const Call& call,
                              const std::string& authorization) {
    http::Request request{.method = call.method,
                          .url = url_of(call),
                          .unix_socket = {},
                          .headers = call.headers,
                          .body = call.body,
                          .max_body = call.limit,
                          .direct = is_plain_http(call.reference.host)};
    if (!authorization.empty()) {
      request.headers.push_back({"Authorization", authorization});
    }
    return http_.send(request, job.stop, job.deadline);
  }

  /// Blobs often lie elsewhere: fetched there without our login.
  Result<http::Response> follow(const JobContext& job, const Call& call, http::Response response) {
    for (int hop = 0; hop < k_redirects && is_redirect(response.status); ++hop) {
      std::string target(response.header("Location").value_or(""));
      if (target.starts_with('/')) {
        target = url_of(call).substr(0, url_of(call).find("/v2/")) + target;
      }
      if (!is_usable_realm(call.reference.host, target)) {
        return failure(ErrorKind::internal,
                       fmt::format("{}: a redirect to {} is not followed", url_of(call),
                                   http::without_secrets(one_line(target.substr(0, 200)))));
      }
      BUILDER_TRY_ASSIGN(response, http_.send({.url = target,
                                               .unix_socket = {},
                                               .headers = {},
                                               .body = {},
                                               .max_body = call.limit,
                                               .direct = is_plain_http(call.reference.host)},
                                              job.stop, job.deadline));
    }
    return response;
  }

  /// The value of the Authorization header; empty: anonymous.
  Result<std::string> authorize(const JobContext& job, const Call& call, const Challenge& challenge,
                                const SharedLogin& login) {
    if (challenge.scheme == Challenge::Scheme::basic) {
      return login == nullptr ? std::string() : basic(*login);
    }
    const std::string key = token_key(call, challenge);
    {
      auto tokens = tokens_.lock();
      const auto found = tokens->find(key);
      if (found != tokens->end() && found->second.until > Clock::now()) {
        return "Bearer " + found->second.value;
      }
    }
    BUILDER_TRY_ASSIGN(Token token, fetch_token(job, call, challenge, login));
    std::string value = "Bearer " + token.value;
    auto tokens = tokens_.lock();
    std::erase_if(*tokens, [](const auto& entry) { return entry.second.until <= Clock::now(); });
    tokens->insert_or_assign(key, std::move(token));
    return value;
  }

  static std::string basic(const ports::RegistryLogin& login) {
    return "Basic " + base64_encode(login.username + ":" + login.password.reveal());
  }

  static std::string scope_of(const Call& call) {
    return "repository:" + call.reference.repository + ":" + call.actions;
  }

  static std::string token_key(const Call& call, const Challenge& challenge) {
    return call.reference.host + '\n' + challenge.realm + '\n' + challenge.service + '\n' +
           scope_of(call);
  }

  Result<Token> fetch_token(const JobContext& job, const Call& call, const Challenge& challenge,
                            const SharedLogin& login) {
    const std::string& host = call.reference.host;
    const std::string shown = http::without_secrets(challenge.realm);
    if (!is_usable_realm(host, challenge.realm)) {
      return failure(ErrorKind::internal,
                     fmt::format("{} sends to the token service {}, which is not asked", host,
                                 one_line(shown)));
    }
    http::Request request{.url = challenge.realm,
                          .unix_socket = {},
                          .headers = {},
                          .body = {},
                          .max_body = k_token_limit,
                          .direct = is_plain_http(host)};
    request.url += (challenge.realm.contains('?') ? "&" : "?");
    request.url += "service=" + http::percent_encode(challenge.service) +
                   "&scope=" + http::percent_encode(scope_of(call), ":/,");
    if (login != nullptr && may_show_login(host, challenge.realm)) {
      request.headers.push_back({"Authorization", basic(*login)});
    } else if (login != nullptr) {
      log_.warning("{} names the token service {}: it gets no login of ours", host, shown);
    }
    BUILDER_TRY_ASSIGN(const http::Response response, http_.send(request, job.stop, job.deadline));
    if (!response.ok()) {
      return std::unexpected(
          Error{.kind = kind_of(response),
                .message = fmt::format("token of {} for {}: {} {}", shown, call.reference.str(),
                                       response.status, words_of(response)),
                .customer = {},
                .retry_after = response.retry_after()});
    }
    const auto body = json::parse(response.body, nullptr, false);
    Token token{.value = {}, .until = {}};
    double seconds = 60;  // What the protocol says when nothing is said.
    if (body.is_object()) {
      token.value = text_of(body, "token");
      if (token.value.empty()) {
        token.value = text_of(body, "access_token");
      }
      if (const auto life = body.find("expires_in"); life != body.end() && life->is_number()) {
        seconds = std::clamp(life->get<double>(), 10.0, 3600.0);
      }
    }
    if (token.value.empty()) {
      return failure(ErrorKind::internal, "token service " + shown + " gives no token");
    }
    token.until = Clock::now() + std::chrono::milliseconds(static_cast<int>(seconds * 800));
    return token;
  }

  const ClientSettings settings_;
  http::Client& http_;
  ports::RegistryLogins& logins_;
  const Log log_;
  Sync<std::map<std::string, Challenge>> remembered_;
  Sync<std::map<std::string, Token>> tokens_;
};

}  // namespace

std::unique_ptr<Client> make_client(ClientSettings settings, http::Client& http,
                                    ports::RegistryLogins& logins, Log log) {
  return std::make_unique<HttpClient>(settings, http, logins, std::move(log));
}

}  // namespace builder::adapters::oci
