#include "adapters/dashboard/answer.hpp"

#include "adapters/dashboard/platform_text.hpp"
#include "base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace builder::adapters::dashboard {
namespace {

constexpr std::size_t k_shown = 200;
constexpr std::string_view k_unknown_deployment = "Deployment not found";
/// What firewalls and proxies answer to a body they do not like.
constexpr std::array k_refusals_of_a_body{400, 403, 406, 413, 422};

std::string text_of(const nlohmann::json& object, const char* name) {
  const auto field = object.find(name);
  return field != object.end() && field->is_string() ? field->get<std::string>() : std::string();
}

/// The platform's own words, when it is the platform that answers with an error.
std::optional<std::string> words_of(const nlohmann::json& body) {
  if (!body.is_object() || text_of(body, "status") != "error" || !body.contains("message")) {
    return std::nullopt;
  }
  return printable_line(text_of(body, "message"), k_shown);
}

/// How a stranger shows itself.
std::string description(const http::Response& response) {
  const std::string type = printable_line(response.header("Content-Type").value_or(""), k_shown);
  const std::string text = printable_line(response.body, k_shown);
  return fmt::format("{}{}{}{}{}", response.status, type.empty() ? "" : " ", type,
                     text.empty() ? "" : ": ", text);
}

Error of_platform(int status, const std::string& words) {
  Error error{.kind = ErrorKind::unavailable,
              .message = fmt::format("the platform answered {}: {}", status, words),
              .effect = Effect::none};
  switch (status) {
    case 401:
      error.kind = ErrorKind::denied;
      error.message = fmt::format("the platform refuses the API key (API_KEY): {}", words);
      return error;
    case 404:
      error.kind = ErrorKind::not_found;
      return error;
    case 408:
    case 425:
    case 429:
    case 503:
      return error;
    case 500:
      error.kind = ErrorKind::internal;
      return error;
    default:
      break;
  }
  if (status >= 400 && status < 500) {
    error.kind = ErrorKind::invalid_input;
  } else {
    error.effect = Effect::possible;
  }
  return error;
}

Error of_stranger(const http::Response& response) {
  if (std::ranges::find(k_refusals_of_a_body, response.status) != k_refusals_of_a_body.end()) {
    return {.kind = ErrorKind::invalid_input,
            .message = fmt::format("something in front of the platform (API_URL) refused the post: "
                                   "{}",
                                   description(response)),
            .effect = Effect::none};
  }
  if (response.status >= 300 && response.status < 400) {
    // The key is never sent to where a redirect points.
    return {.kind = ErrorKind::unavailable,
            .message = fmt::format(
                "API_URL redirects to {} ({}); API_URL has to be the platform's own address",
                http::without_secrets(
                    printable_line(response.header("Location").value_or("?"), k_shown)),
                response.status),
            .effect = Effect::unreached};
  }
  // A gateway that gave up waiting, and whatever broke, may have passed the post on.
  const bool passed_on = response.status == 504 || response.status == 500;
  return {.kind = ErrorKind::unavailable,
          .message = fmt::format("the answer is not the platform's; is API_URL its API? {}",
                                 description(response)),
          .effect = passed_on ? Effect::possible : Effect::unreached};
}

}  // namespace

Result<> classify(const http::Response& response) {
  const auto body = parse_json(response.body);
  if (response.ok() && body.is_object() && text_of(body, "status") == "success") {
    return {};
  }
  const auto words = response.status >= 400 ? words_of(body) : std::nullopt;
  // A router's 404 is anybody's: another path of the platform, or another program.
  const bool is_platform = words && (response.status != 404 || *words == k_unknown_deployment);
  Error error = is_platform ? of_platform(response.status, *words) : of_stranger(response);
  error.retry_after = response.retry_after();
  return std::unexpected(std::move(error));
}

}  // namespace builder::adapters::dashboard
