#include "adapters/oci/client.hpp"

#include "adapters/http/stranger.hpp"
#include "adapters/oci/answer.hpp"
#include "adapters/oci/challenge.hpp"
#include "adapters/oci/push_fault.hpp"
#include "base/json.hpp"
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
  const BlobTaker* taker = nullptr;  ///< Gets the body of a success as it comes.
  bool may_be_unknown = false;       ///< Not every registry has such a path.
};

/// Of a peer that sends a large blob.
constexpr std::chrono::seconds k_longest_pause{15};

void receive(http::Request& request, const Call& call) {
  if (call.taker != nullptr) {
    call.taker->begin();
    request.on_body = call.taker->take;
    request.timeout = std::chrono::milliseconds(0);
    request.idle_timeout = k_longest_pause;
  }
}

bool is_expired_token(const http::Response& response) {
  const PushFault fault = classify_push_error(words_of(response));
  // An answer to HEAD has no words.
  return response.status == 403 && (fault == PushFault::token_expired || response.body.empty());
}

/// An answer that a registry alone gives to this.
bool is_success(const Call& call, const http::Response& response) {
  if (!response.ok() || http::is_page(response)) {
    return false;
  }
  if (call.method != http::Method::get) {
    return true;
  }
  if (call.path.empty()) {
    return response.body.empty() || is_registrys(response) ||
           !parse_json(response.body).is_discarded();
  }
  const bool is_json = call.path.starts_with("manifests/") || call.path.starts_with("referrers/");
  return !is_json || parse_json(response.body).is_object();
}

/// An answer to HEAD has no words; where they decide, they are asked for.
bool lacks_words(const Call& call, const http::Response& response) {
  const bool is_clear = is_success(call, response) || is_registrys(response) ||
                        response.status == 408 || response.status == 429 || response.status >= 500;
  return call.method == http::Method::head && !is_clear;
}

/// With where the last redirect that was followed led to.
struct Answer : http::Response {
  std::string sent_to = {};
};

std::string media_type_of(const http::Response& response) {
  std::string type(response.header("Content-Type").value_or(""));
  type = type.substr(0, type.find(';'));
  if (type.empty() || type == "application/json") {
    const auto body = parse_json(response.body);
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

  Result<Stored> put(const JobContext& job, const Reference& reference,
                     const Manifest& manifest) override {
    BUILDER_TRY_ASSIGN(const http::Response response,
                       call(job, {.method = http::Method::put,
                                  .reference = reference,
                                  .path = "manifests/" + reference.selector(),
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
    return Stored{.lists_subject = response.header("OCI-Subject").has_value()};
  }

  Result<Manifest> referrers(const JobContext& job, const Reference& reference) override {
    BUILDER_TRY_ASSIGN(http::Response response, call(job, {.reference = reference,
                                                           .path = "referrers/" + reference.digest,
                                                           .may_be_unknown = true}));
    Manifest index{.bytes = std::move(response.body), .media_type = {}, .digest = {}};
    index.digest = "sha256:" + sha256_hex(index.bytes);
    index.media_type = media_type_of(response);
    return index;
  }

  Result<std::string> blob(const JobContext& job, const Reference& reference,
                           const std::string& digest, std::size_t limit) override {
    if (!is_digest(digest)) {
      return failure(ErrorKind::internal, "'" + printable_line(digest) + "' is no digest");
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

  Result<> stream_blob(const JobContext& job, const Reference& reference, const std::string& digest,
                       const BlobTaker& taker) override {
    if (!is_digest(digest)) {
      return failure(ErrorKind::internal, "'" + printable_line(digest) + "' is no digest");
    }
    BUILDER_TRY(call(job, {.reference = reference, .path = "blobs/" + digest, .taker = &taker}));
    return {};
  }

  Result<> push_blob(const JobContext& job, const Reference& reference,
                     const std::string& bytes) override {
    BUILDER_TRY_ASSIGN(const http::Response begun, call(job, {.method = http::Method::post,
                                                              .reference = reference,
                                                              .path = "blobs/uploads/",
                                                              .actions = "pull,push"}));
    // Where to send it: a path or a URL of this registry.
    const std::string place(begun.header("Location").value_or(""));
    const std::string mark = "/v2/" + reference.repository + "/";
    const std::size_t at = place.find(mark);
    const std::string origin = place.substr(0, std::min(at, place.size()));
    const bool is_here =
        at != std::string::npos &&
        (at == 0 || origin == "https://" + reference.host || origin == "http://" + reference.host);
    if (!is_here) {
      return failure(ErrorKind::internal,
                     fmt::format("{} sends an upload to {}", reference.host,
                                 http::without_secrets(printable_line(place, 200))));
    }
    std::string path = place.substr(at + mark.size());
    path += path.contains('?') ? "&" : "?";
    path += "digest=sha256:" + sha256_hex(bytes);
    BUILDER_TRY(call(job, {.method = http::Method::put,
                           .reference = reference,
                           .path = std::move(path),
                           .actions = "pull,push",
                           .headers = {{"Content-Type", "application/octet-stream"}},
                           .body = bytes}));
    return {};
  }

 private:
  struct Token {
    std::string value;
    SteadyTime until;
  };

  /// The exchange and its repetitions; what is no success is an error.
  Result<http::Response> call(const JobContext& job, Call call) {
    auto random = make_random();
    for (int attempt = 0;; ++attempt) {
      auto answer = exchange(job, call);
      if (answer && lacks_words(call, *answer)) {
        call.method = http::Method::get;
        answer = exchange(job, call);
      }
      if (answer && is_success(call, *answer)) {
        return *std::move(answer);
      }
      Error error = answer ? no_success(call, *answer) : std::move(answer).error();
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

  static std::string request_of(const Call& call) {
    return fmt::format("{} {}", http::to_string(call.method), url_of(call));
  }

  static Error no_success(const Call& call, const Answer& answer) {
    const std::string request =
        request_of(call) + (answer.sent_to.empty() ? "" : ", sent on to " + answer.sent_to);
    if (call.may_be_unknown &&
        (answer.status == 404 || answer.status == 405 || answer.status == 400)) {
      return {.kind = ErrorKind::not_found,
              .message = fmt::format("{}: {}", request, http::describe(answer))};
    }
    return answer.ok() ? of_stranger(request, "the registry", answer) : refusal(request, answer);
  }

  /// One exchange with whatever login the registry asks for.
  Result<Answer> exchange(const JobContext& job, const Call& call) {
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
        // What is asked of the registry itself is nowhere else.
        const bool may_lie_elsewhere = call.method == http::Method::get && !call.path.empty();
        return may_lie_elsewhere ? follow(job, call, {std::move(response)})
                                 : Answer{std::move(response)};
      }
      const auto asked = response.status == 401
                             ? parse_challenge(response.header("WWW-Authenticate").value_or(""))
                             : challenge;
      if (!asked || round == k_auth_rounds) {
        return Answer{std::move(response)};
      }
      if (challenge != asked) {
        challenge = asked;
        remembered_.lock()->insert_or_assign(host, *asked);
        continue;
      }
      if (renewed || authorization.empty()) {
        return Answer{std::move(response)};
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
    receive(request, call);
    return http_.send(request, job.stop, job.deadline);
  }

  /// Blobs often lie elsewhere: fetched there without our login.
  Result<Answer> follow(const JobContext& job, const Call& call, Answer answer) {
    for (int hop = 0; hop < k_redirects && http::is_redirect(answer.status); ++hop) {
      std::string target(answer.header("Location").value_or(""));
      if (target.starts_with('/')) {
        target = url_of(call).substr(0, url_of(call).find("/v2/")) + target;
      }
      if (!is_usable_realm(call.reference.host, target)) {
        return std::unexpected(of_stranger(request_of(call), "the registry", answer));
      }
      http::Request request{.url = target,
                            .unix_socket = {},
                            .headers = {},
                            .body = {},
                            .max_body = call.limit,
                            .direct = is_plain_http(call.reference.host)};
      receive(request, call);
      auto there = http_.send(request, job.stop, job.deadline);
      if (!there) {
        return std::unexpected(std::move(there)
                                   .error()
                                   .with_context(request_of(call) + ": " + http::describe(answer))
                                   .for_operator(k_place_setting));
      }
      answer = {*std::move(there), http::without_secrets(printable_line(target.substr(0, 200)))};
    }
    return answer;
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

  /// Token services have no words in common; that what they say is an object is all.
  static Error token_refusal(const std::string& asked, const http::Response& response,
                             bool is_object) {
    Error error = refusal(asked, response);
    const bool is_refused = response.status == 401 || (response.status == 403 && is_object);
    if (is_refused && !http::is_page(response)) {
      error.kind = ErrorKind::denied;
      error.message = fmt::format("{}: {} {}", asked, response.status, words_of(response));
      error.setting.clear();
    } else if (error.kind != ErrorKind::unavailable || !error.setting.empty()) {
      error = of_stranger(asked, "the token service", response);
    }
    return error;
  }

  Result<Token> fetch_token(const JobContext& job, const Call& call, const Challenge& challenge,
                            const SharedLogin& login) {
    const std::string& host = call.reference.host;
    const std::string shown = http::without_secrets(challenge.realm);
    if (!is_usable_realm(host, challenge.realm)) {
      return failure(ErrorKind::internal,
                     fmt::format("{} sends to the token service {}, which is not asked", host,
                                 printable_line(shown)));
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
    const std::string asked = fmt::format("token of {} for {}", shown, call.reference.str());
    const auto body = parse_json(response.body);
    if (!response.ok()) {
      return std::unexpected(token_refusal(asked, response, body.is_object()));
    }
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
      return std::unexpected(of_stranger(asked, "the token service", response));
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
