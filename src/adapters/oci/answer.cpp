#include "adapters/oci/answer.hpp"

#include "adapters/http/stranger.hpp"
#include "adapters/oci/challenge.hpp"
#include "adapters/oci/push_fault.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace builder::adapters::oci {
namespace {

using nlohmann::json;

constexpr std::string_view k_capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";

struct Words {
  std::string code;  ///< "MANIFEST_UNKNOWN"; empty: a registry did not say it.
  std::string message;
};

Words parse_words(const http::Response& response) {
  const auto body = parse_json(response.body);
  const auto errors = body.is_object() ? body.find("errors") : body.end();
  if (!body.is_object() || errors == body.end() || !errors->is_array() || errors->empty() ||
      !errors->front().is_object()) {
    return {};
  }
  Words words{.code = text_of(errors->front(), "code"),
              .message = text_of(errors->front(), "message")};
  // Other programs have `errors` too, and number them.
  return words.code.find_first_not_of(k_capitals) == std::string::npos ? words : Words();
}

bool has_version(const http::Response& response) {
  return response.header("Docker-Distribution-Api-Version").value_or("").starts_with("registry/");
}

bool is_away(int status) {
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

ErrorKind kind_of(const http::Response& response, const Words& words) {
  if (response.status == 401 || response.status == 403 || words.code == "DENIED" ||
      words.code == "UNAUTHORIZED") {
    return ErrorKind::denied;
  }
  if (response.status == 404) {
    return ErrorKind::not_found;
  }
  return classify_push_error(words_of(response)) == PushFault::tag_immutable ? ErrorKind::conflict
                                                                             : ErrorKind::internal;
}

}  // namespace

bool is_registrys(const http::Response& response) {
  if (!parse_words(response).code.empty()) {
    return true;
  }
  if (response.status == 401 && parse_challenge(response.header("WWW-Authenticate").value_or(""))) {
    return true;
  }
  // A proxy may add the header to what it says itself; a firewall's 403 is never the registry's.
  return has_version(response) && response.status != 403 && !http::is_redirect(response.status) &&
         !http::is_page(response);
}

std::string words_of(const http::Response& response) {
  const Words words = parse_words(response);
  return words.code.empty() ? printable_line(response.body.substr(0, 200))
                            : words.code + ": " + words.message;
}

Error refusal(std::string_view request, const http::Response& response) {
  const bool away = is_away(response.status);
  if (!away && !is_registrys(response)) {
    return of_stranger(request, "the registry", response);
  }
  return {.kind = away ? ErrorKind::unavailable : kind_of(response, parse_words(response)),
          .message = fmt::format("{}: {} {}", request, response.status, words_of(response)),
          .customer = {},
          .retry_after = response.retry_after()};
}

Error of_stranger(std::string_view request, std::string_view who, const http::Response& response) {
  Error error{.kind = ErrorKind::unavailable,
              .message = fmt::format(
                  "{}: something that is not {} answered (a proxy, a portal, a wrong address?): {}",
                  request, who, http::describe(response)),
              .customer = {},
              .retry_after = response.retry_after()};
  return std::move(error).for_operator(k_place_setting);
}

}  // namespace builder::adapters::oci
