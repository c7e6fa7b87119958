#pragma once

#include "adapters/ecr/api.hpp"
#include "adapters/ecr/credentials.hpp"
#include "adapters/ecr/lifecycle_policy.hpp"
#include "adapters/ecr/logins.hpp"
#include "adapters/http/client.hpp"
#include "adapters/oci/client.hpp"
#include "adapters/oci/configured_logins.hpp"
#include "app/config/config.hpp"
#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "ports/attestations.hpp"
#include "ports/image_search.hpp"
#include "ports/registry.hpp"

#include <memory>
#include <stop_token>

namespace builder::app {

/// What a repository keeps, as ECR_KEEP_IMAGES and ATTESTATIONS say.
adapters::ecr::Retention retention(const Config& config);

/// What SIGNING_KEY says; null: nothing is signed. The references outlive it.
std::unique_ptr<ports::Signer> make_signer(const Config& config, adapters::http::Client& http,
                                           adapters::ecr::CredentialSource& credentials,
                                           const Log& log);

/// The registry that images go to, and the logins for every registry that builds meet. Needs the
/// settings of `Concern::registry`. The arguments outlive it; members are made in this order.
struct RegistryParts {
  RegistryParts(const Config& config, adapters::http::Client& http, SecretStore& secrets,
                const Log& log);
  RegistryParts(const RegistryParts&) = delete;
  RegistryParts& operator=(const RegistryParts&) = delete;

  /// Whether it answers and takes us; waits for seconds at most.
  Result<> check(const std::stop_token& stop);

  std::unique_ptr<adapters::ecr::CredentialSource> credentials;
  std::unique_ptr<adapters::ecr::Api> ecr;
  adapters::ecr::Logins ecr_logins;
  adapters::oci::ConfiguredLogins logins;
  std::unique_ptr<adapters::oci::Client> oci;
  std::unique_ptr<ports::Registry> registry;
  std::unique_ptr<ports::ImageSearch> search;
  std::unique_ptr<ports::Attestations> attestations;  ///< Null: ATTESTATIONS is off.
};

}  // namespace builder::app
