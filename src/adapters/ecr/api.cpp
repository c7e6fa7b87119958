#include "adapters/ecr/api.hpp"

#include "adapters/ecr/api_errors.hpp"
#include "adapters/ecr/endpoints.hpp"
#include "adapters/ecr/sigv4.hpp"
#include "adapters/http/stranger.hpp"
#include "base/backoff.hpp"
#include "base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <charconv>

namespace builder::adapters::ecr {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::system_clock;

constexpr int k_call_attempts = 6;
constexpr BackoffPolicy k_throttled{.base = std::chrono::seconds(1),
                                    .cap = std::chrono::seconds(20)};
constexpr BackoffPolicy k_failed{.base = std::chrono::milliseconds(500),
                                 .cap = std::chrono::seconds(20)};
/// AWS refuses signatures some five minutes off; below this a difference is just the Date
/// header's resolution and the way.
constexpr seconds k_notable_skew{60};

/// AWS names its wait in milliseconds.
std::optional<std::chrono::milliseconds> wait_asked_for(const http::Response& response) {
  if (const auto value = response.header("x-amz-retry-after")) {
    int milliseconds = 0;
    const auto end = value->data() + value->size();
    if (std::from_chars(value->data(), end, milliseconds).ec == std::errc() && milliseconds > 0) {
      return std::chrono::milliseconds(std::min(milliseconds, 25'000));
    }
  }
  const auto wait = response.retry_after();
  return wait ? std::optional(std::min<std::chrono::milliseconds>(*wait, seconds(25)))
              : std::nullopt;
}

/// What an answer to `operation` holds and no other program's does; empty: nothing that is needed.
std::string_view mark_of(std::string_view operation) {
  return operation == "GetAuthorizationToken"  ? "authorizationData"
         : operation == "DescribeRepositories" ? "repositories"
         : operation == "CreateRepository"     ? "repository"
         : operation == "GetPublicKey"         ? "PublicKey"
         : operation == "Sign"                 ? "Signature"
                                               : "";
}

struct Attempt {
  std::expected<json, ApiError> result;
  Remedy remedy = Remedy::none;
  CredentialsPtr credentials;
  seconds clock_used{0};
};

class JsonApi final : public Api {
 public:
  JsonApi(ApiSettings settings, http::Client& client, CredentialSource& credentials, Log log)
      : settings_(std::move(settings)),
        host_(host_header(settings_.endpoint)),
        client_(client),
        credentials_(credentials),
        log_(std::move(log)) {
    if (!settings_.endpoint.ends_with('/')) {
      settings_.endpoint += '/';
    }
  }

  std::expected<json, ApiError> call(std::string_view operation, const json& input,
                                     const std::stop_token& stop, SteadyTime deadline) override {
    auto random = make_random();
    bool renewed = false;
    bool clock_corrected = false;
    for (int number = 0;; ++number) {
      Attempt attempt = try_once(operation, input, stop, deadline);
      if (attempt.result) {
        return std::move(attempt.result);
      }
      ApiError& failed = attempt.result.error();
      if (failed.error.kind == ErrorKind::cancelled || number + 1 >= k_call_attempts ||
          std::chrono::steady_clock::now() >= deadline) {
        return std::move(attempt.result);
      }
      switch (attempt.remedy) {
        case Remedy::none:
          return std::move(attempt.result);
        case Remedy::renew_credentials:
          if (std::exchange(renewed, true)) {
            return std::move(attempt.result);
          }
          credentials_.drop(attempt.credentials);
          continue;
        case Remedy::correct_clock:
          if (std::exchange(clock_corrected, true) ||
              std::chrono::abs(clock_offset() - attempt.clock_used) < k_notable_skew) {
            return std::move(attempt.result);
          }
          log_.warning("this machine's clock is {} s behind AWS's; signing with theirs",
                       clock_offset().count());
          continue;
        case Remedy::retry:
        case Remedy::slow_down:
          break;
      }
      const auto& policy = attempt.remedy == Remedy::slow_down ? k_throttled : k_failed;
      const auto delay = next_delay(policy, number, failed.error.retry_after, random);
      log_.debug("{} {}: {}; next attempt in {} ms", settings_.service.name, operation,
                 failed.error.message, delay.count());
      if (std::chrono::steady_clock::now() + delay >= deadline) {
        return std::move(attempt.result);
      }
      if (!sleep_for(delay, stop)) {
        return std::unexpected(
            ApiError{.error = {.kind = ErrorKind::cancelled, .message = "stopped"}, .code = {}});
      }
    }
  }

 private:
  [[nodiscard]] seconds clock_offset() const { return seconds(clock_offset_.load()); }

  Attempt try_once(std::string_view operation, const json& input, const std::stop_token& stop,
                   SteadyTime deadline) {
    Attempt attempt;
    auto credentials = credentials_.get(stop, deadline);
    if (!credentials) {
      // The source has retried by itself.
      attempt.result = std::unexpected(ApiError{
          .error = explained(std::move(credentials).error().for_operator(credentials_.setting()),
                             operation),
          .code = {}});
      return attempt;
    }
    attempt.credentials = *std::move(credentials);
    attempt.clock_used = clock_offset();
    const http::Request request = signed_request(operation, input, attempt);
    const auto started = std::chrono::steady_clock::now();
    auto response = client_.send(request, stop, deadline);
    if (!response) {
      Error error = std::move(response).error();
      attempt.remedy = error.is_transient() ? Remedy::retry : Remedy::none;
      attempt.result =
          std::unexpected(ApiError{.error = explained(std::move(error), operation), .code = {}});
      return attempt;
    }
    learn_clock(*response, std::chrono::steady_clock::now() - started);
    read_answer(*response, operation, attempt);
    return attempt;
  }

  [[nodiscard]] http::Request signed_request(std::string_view operation, const json& input,
                                             const Attempt& attempt) const {
    SignableRequest signable{
        .method = "POST",
        .headers = {{.name = "Host", .value = host_},
                    {.name = "Content-Type", .value = "application/x-amz-json-1.1"},
                    {.name = "X-Amz-Target",
                     .value = fmt::format("{}.{}", settings_.service.target, operation)}},
        .body = input.dump(-1, ' ', false, json::error_handler_t::replace)};
    auto added =
        sign(signable, attempt.credentials->key, settings_.region,
             std::string(settings_.service.scope), system_clock::now() + attempt.clock_used);
    http::Request request{.method = http::Method::post,
                          .url = settings_.endpoint,
                          .headers = std::move(signable.headers),
                          .body = std::move(signable.body)};
    request.headers.insert(request.headers.end(), added.begin(), added.end());
    return request;
  }

  /// As the JavaScript SDK does: the Date header is AWS's clock, unless a cache held the answer.
  void learn_clock(const http::Response& response, std::chrono::nanoseconds took) {
    const auto date = response.header("Date");
    if (!date || response.header("Age") || took > std::chrono::minutes(15)) {
      return;
    }
    if (const auto theirs = http::parse_http_date(*date)) {
      const auto offset = std::chrono::duration_cast<seconds>(*theirs - system_clock::now());
      clock_offset_ = std::chrono::abs(offset) >= k_notable_skew ? offset.count() : 0;
    }
  }

  void read_answer(const http::Response& response, std::string_view operation,
                   Attempt& attempt) const {
    if (response.ok()) {
      auto answer = parse_json(response.body);
      const std::string_view mark = mark_of(operation);
      if (answer.is_object() && (mark.empty() || answer.contains(mark))) {
        attempt.result = std::move(answer);
        return;
      }
    }
    if (response.ok() || !is_aws(response)) {
      return read_strangers(response, operation, attempt);
    }
    std::string code = error_code(response);
    attempt.remedy = remedy_for(code, response.status);
    Error error{.kind = kind_for(code, response.status),
                .message = fmt::format("{}: {}", code, error_message(response)),
                .retry_after = wait_asked_for(response)};
    if (error.kind == ErrorKind::denied) {
      error.message += fmt::format(" (credentials: {})", credentials_.name());
    }
    attempt.result = std::unexpected(
        ApiError{.error = explained(std::move(error), operation), .code = std::move(code)});
  }

  /// Nothing that AWS says: nobody's keys are wrong for it. It may pass as trouble of AWS does.
  void read_strangers(const http::Response& response, std::string_view operation,
                      Attempt& attempt) const {
    const bool is_away = response.status >= 500 || response.status == 429 || response.status == 408;
    attempt.remedy = response.status == 429 ? Remedy::slow_down : Remedy::retry;
    attempt.result = std::unexpected(ApiError{
        .error =
            explained({.kind = ErrorKind::unavailable,
                       .message = fmt::format(
                           "{} answered {}", settings_.endpoint,
                           is_away ? http::describe(response)
                                   : fmt::format("something that is not {}'s API (a "
                                                 "proxy, a portal, a wrong address?): {}",
                                                 settings_.service.name, http::describe(response))),
                       .retry_after = wait_asked_for(response)},
                      operation),
        .code = {}});
  }

  [[nodiscard]] Error explained(Error error, std::string_view operation) const {
    const bool is_protocol =
        error.kind == ErrorKind::not_found || error.kind == ErrorKind::conflict;
    error = std::move(error).with_context(fmt::format("{} {}", settings_.service.name, operation));
    if (is_protocol) {
      return error;
    }
    const bool refused = error.kind == ErrorKind::denied;
    return std::move(error).for_operator(refused ? credentials_.setting()
                                                 : settings_.endpoint_setting);
  }

  ApiSettings settings_;
  std::string host_;
  http::Client& client_;
  CredentialSource& credentials_;
  Log log_;
  std::atomic<std::int64_t> clock_offset_{0};  ///< Seconds AWS is ahead of this machine.
};

}  // namespace

std::unique_ptr<Api> make_api(ApiSettings settings, http::Client& client,
                              CredentialSource& credentials, Log log) {
  return std::make_unique<JsonApi>(std::move(settings), client, credentials, std::move(log));
}

}  // namespace builder::adapters::ecr
