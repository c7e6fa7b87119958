#include "adapters/ecr/credential_answers.hpp"

#include "adapters/http/stranger.hpp"
#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/wall_clock.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <ctime>

namespace builder::adapters::ecr {
namespace {

constexpr std::size_t k_longest_code = 60;

Result<Credentials> checked(Credentials credentials, std::string_view who) {
  if (credentials.key.access_key_id.empty() || credentials.key.secret_access_key.empty()) {
    return failure(ErrorKind::denied, fmt::format("{} handed out no keys", who));
  }
  return credentials;
}

std::string text_in(std::string_view body, const char* name) {
  return text_of(parse_json(body), name);
}

Result<Credentials> parse_keys(std::string_view body, const char* token, std::string_view who) {
  const auto text = [body](const char* name) { return text_in(body, name); };
  return checked({.key = {.access_key_id = text("AccessKeyId"),
                          .secret_access_key = Secret(text("SecretAccessKey")),
                          .session_token = Secret(text(token))},
                  .expires_at = parse_iso_time(text("Expiration"))},
                 who);
}

}  // namespace

bool may_pass(const http::Response& response) {
  return response.status >= 500 || response.status == 429;
}

std::unexpected<Error> refused(std::string_view who, const http::Response& response,
                               std::string_view code) {
  return failure(
      may_pass(response) ? ErrorKind::unavailable : ErrorKind::denied,
      fmt::format("{} answered {}{}{}", who, response.status, code.empty() ? "" : " ", code));
}

std::unexpected<Error> not_theirs(std::string_view url, std::string_view who,
                                  const http::Response& response, std::string_view look_at) {
  return std::unexpected(
      Error{.kind = ErrorKind::unavailable,
            .message = fmt::format("{} answered something that is not {}: {}",
                                   http::without_secrets(url), who, http::describe(response, 0))}
          .for_operator(look_at));
}

bool says_keys(const http::Response& response) {
  return response.ok() && !text_in(response.body, "AccessKeyId").empty();
}

std::string code_of(const http::Response& response) {
  for (const char* const name : {"Code", "code"}) {
    std::string code = text_in(response.body, name);
    if (!code.empty() && code.size() <= k_longest_code &&
        std::ranges::all_of(code, [](unsigned char c) { return std::isalnum(c) != 0; })) {
      return code;
    }
  }
  return {};
}

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return c > ' ' && c < 0x7F && c != '<' && c != '{';
  });
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

std::optional<std::chrono::system_clock::time_point> parse_iso_time(const std::string& text) {
  std::tm parts{};
  if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) {
    return std::nullopt;
  }
  return wall_clock(::timegm(&parts));
}

Result<Credentials> parse_json_credentials(std::string_view body) {
  return parse_keys(body, "Token", "the credential endpoint");
}

Result<Credentials> parse_sts_credentials(std::string_view body) {
  return checked({.key = {.access_key_id = element(body, "AccessKeyId"),
                          .secret_access_key = Secret(element(body, "SecretAccessKey")),
                          .session_token = Secret(element(body, "SessionToken"))},
                  .expires_at = parse_iso_time(element(body, "Expiration"))},
                 "STS");
}

Result<Credentials> parse_process_credentials(std::string_view output) {
  const auto answer = parse_json(output);
  if (!answer.is_object() || answer.value("Version", nlohmann::json()) != 1) {
    return failure(ErrorKind::denied, "credential_process does not print JSON with Version 1");
  }
  return parse_keys(output, "SessionToken", "credential_process");
}

}  // namespace builder::adapters::ecr
