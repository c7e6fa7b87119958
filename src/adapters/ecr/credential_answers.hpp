#pragma once

#include "adapters/ecr/credentials.hpp"
#include "adapters/http/message.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace builder::adapters::ecr {

/// What answers of those that hand out keys mean: the one place that decides it. Only what they
/// alone say is their word; a page, another program's object or a redirect says nothing about keys.

/// An error of `who`'s that quotes nothing of it but a known code: `unavailable` when it may pass,
/// else `denied`.
std::unexpected<Error> refused(std::string_view who, const http::Response& response,
                               std::string_view code = {});
/// An answer in which nothing is `who`'s: `unavailable`, with the setting to look at. It is not
/// quoted, it may hold anything.
std::unexpected<Error> not_theirs(std::string_view url, std::string_view who,
                                  const http::Response& response, std::string_view look_at);
/// A status that says no more than that it may pass.
bool may_pass(const http::Response& response);
/// Keys as JSON.
bool says_keys(const http::Response& response);
/// The code of an error as JSON: a word that may be shown. Empty: none.
std::string code_of(const http::Response& response);
/// One word of visible characters, as tokens and the names of roles are.
bool is_word(std::string_view text);

/// The text of an element of STS's XML; empty: there is none.
std::string element(std::string_view xml, std::string_view name);

/// ECS, EKS Pod Identity and IMDS: {AccessKeyId, SecretAccessKey, Token, Expiration}.
Result<Credentials> parse_json_credentials(std::string_view body);
/// STS's XML.
Result<Credentials> parse_sts_credentials(std::string_view body);
/// What a `credential_process` prints: {Version, AccessKeyId, SecretAccessKey, SessionToken,
/// Expiration}.
Result<Credentials> parse_process_credentials(std::string_view output);
/// ISO 8601 in UTC, fractions allowed.
std::optional<std::chrono::system_clock::time_point> parse_iso_time(const std::string& text);

}  // namespace builder::adapters::ecr
