#pragma once

#include "adapters/ecr/credentials.hpp"

namespace builder::adapters::ecr {

/// One attempt to fetch credentials from where they are handed out. Internal to the chain.
using FetchCredentials =
    std::function<Result<Credentials>(const std::stop_token& stop, SteadyTime deadline)>;

/// A role, and what STS is told of its use.
struct Role {
  std::string arn;
  std::string session = {};
  std::string token_file = {};   ///< Of a web identity.
  std::string external_id = {};  ///< Of a role that another identity takes on.
  std::string duration = {};     ///< Seconds; empty: STS's.
};

FetchCredentials web_identity(const CredentialSettings& settings, http::Client& client, Role role);
FetchCredentials container(const CredentialSettings& settings, http::Client& client);
FetchCredentials instance_metadata(const CredentialSettings& settings, http::Client& client);
FetchCredentials static_keys(SigningKey key);
/// What the named profile says, in the files as they are at each fetch.
FetchCredentials profile(const CredentialSettings& settings, http::Client& client,
                         std::string name);
/// The keys of AWS_ACCESS_KEY_ID and so on; nullopt without them.
std::optional<SigningKey> environment_keys(const CredentialSettings& settings);

/// `variable` of the environment, empty when it is not set.
std::string setting(const CredentialSettings& settings, std::string_view variable);

/// Plain http only to where nobody can listen in.
bool is_allowed_container_uri(std::string_view uri);

}  // namespace builder::adapters::ecr
