#include "adapters/ecr/api_errors.hpp"

#include "base/json.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>

namespace builder::adapters::ecr {
namespace {

constexpr std::size_t k_longest_message = 500;

// LimitExceededException is in botocore's list too, but for ECR it is a quota: waiting is useless.
constexpr std::array<std::string_view, 11> k_throttling{"Throttling",
                                                        "ThrottlingException",
                                                        "ThrottledException",
                                                        "RequestThrottledException",
                                                        "RequestThrottled",
                                                        "TooManyRequestsException",
                                                        "RequestLimitExceeded",
                                                        "ProvisionedThroughputExceededException",
                                                        "SlowDown",
                                                        "BandwidthLimitExceeded",
                                                        "EC2ThrottledException"};
constexpr std::array<std::string_view, 8> k_passing{
    "RequestTimeout",          "RequestTimeoutException",
    "PriorRequestNotComplete", "ServerException",
    "InternalFailure",         "InternalServerError",
    "ServiceUnavailable",      "ServiceUnavailableException"};
/// Of keys that have ended, or that are not known any more: newer ones may be there.
constexpr std::array<std::string_view, 6> k_expired{
    "ExpiredTokenException", "ExpiredToken",         "RequestExpired",
    "TokenRefreshRequired",  "InvalidClientTokenId", "UnrecognizedClientException"};
constexpr std::array<std::string_view, 4> k_clock{"InvalidSignatureException",
                                                  "SignatureDoesNotMatch", "RequestTimeTooSkewed",
                                                  "RequestInTheFuture"};

template <std::size_t N>
bool is_in(const std::array<std::string_view, N>& codes, std::string_view code) {
  return std::ranges::find(codes, code) != codes.end();
}

nlohmann::json body_of(const http::Response& response) {
  auto body = parse_json(response.body);
  return body.is_object() ? body : nlohmann::json::object();
}

std::string after_hash(std::string_view code) {
  const auto hash = code.rfind('#');
  return std::string(hash == std::string_view::npos ? code : code.substr(hash + 1));
}

/// Empty: none is named.
std::string named_code(const http::Response& response) {
  if (const auto header = response.header("x-amzn-errortype"); header && !header->empty()) {
    return after_hash(header->substr(0, header->find(':')));
  }
  const auto body = body_of(response);
  for (const char* const name : {"__type", "code"}) {
    const auto field = body.find(name);
    if (field != body.end() && field->is_string() && !field->get<std::string>().empty()) {
      return after_hash(field->get<std::string>());
    }
  }
  return {};
}

}  // namespace

bool is_aws(const http::Response& response) {
  const std::string code = named_code(response);
  return !code.empty() && code.front() >= 'A' && code.front() <= 'Z' &&
         std::ranges::all_of(code, [](unsigned char c) { return std::isalnum(c) != 0; });
}

std::string error_code(const http::Response& response) {
  std::string code = named_code(response);
  return code.empty() ? std::to_string(response.status) : code;
}

std::string error_message(const http::Response& response) {
  const auto body = body_of(response);
  for (const char* const name : {"message", "Message"}) {
    const auto field = body.find(name);
    if (field != body.end() && field->is_string()) {
      std::string text = field->get<std::string>().substr(0, k_longest_message);
      std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
      return text;
    }
  }
  return "no message";
}

Remedy remedy_for(std::string_view code, int status) {
  if (is_in(k_throttling, code) || status == 429) {
    return Remedy::slow_down;
  }
  if (is_in(k_passing, code)) {
    return Remedy::retry;
  }
  if (is_in(k_expired, code)) {
    return Remedy::renew_credentials;
  }
  if (is_in(k_clock, code)) {
    return Remedy::correct_clock;
  }
  // AWS names a code with every 400: an answer without one is not its own, or not whole.
  const bool nonsense = status == 400 && code == "400";
  return status >= 500 || status == 408 || nonsense ? Remedy::retry : Remedy::none;
}

ErrorKind kind_for(std::string_view code, int status) {
  if (code.ends_with("NotFoundException")) {
    return ErrorKind::not_found;
  }
  if (code.ends_with("AlreadyExistsException")) {
    return ErrorKind::conflict;
  }
  const Remedy remedy = remedy_for(code, status);
  if (remedy == Remedy::retry || remedy == Remedy::slow_down) {
    return ErrorKind::unavailable;
  }
  // Refusals, quotas, keys and parameters: the operator's matter, and repeating does not help.
  return ErrorKind::denied;
}

}  // namespace builder::adapters::ecr
