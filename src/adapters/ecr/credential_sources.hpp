#pragma once

#include "adapters/ecr/credentials.hpp"

namespace builder::adapters::ecr {

/// One attempt to fetch credentials from where they are handed out. Internal to the chain.
using FetchCredentials =
    std::function<Result<Credentials>(const std::stop_token& stop, SteadyTime deadline)>;

FetchCredentials web_identity(const CredentialSettings& settings, http::Client& client);
FetchCredentials container(const CredentialSettings& settings, http::Client& client);
FetchCredentials instance_metadata(const CredentialSettings& settings, http::Client& client);
FetchCredentials static_keys(SigningKey key);

/// The keys of the profile in the shared credentials file; nullopt when there are none.
std::optional<SigningKey> shared_file_keys(const CredentialSettings& settings);

/// `variable` of the environment, empty when it is not set.
std::string setting(const CredentialSettings& settings, std::string_view variable);

// Parsers of what the providers answer; apart for the tests.

/// ECS, EKS Pod Identity and IMDS: {AccessKeyId, SecretAccessKey, Token, Expiration}.
Result<Credentials> parse_json_credentials(std::string_view body);
/// STS's XML.
Result<Credentials> parse_sts_credentials(std::string_view body);
/// The keys of `[profile]` in an INI file.
std::optional<SigningKey> parse_shared_file(std::string_view text, std::string_view profile);
/// ISO 8601 in UTC, fractions allowed.
std::optional<std::chrono::system_clock::time_point> parse_iso_time(const std::string& text);
/// Plain http only to where nobody can listen in.
bool is_allowed_container_uri(std::string_view uri);

}  // namespace builder::adapters::ecr
