#include "app/compose/registry_parts.hpp"

#include "adapters/attestation/attestations.hpp"
#include "adapters/ecr/kms_signer.hpp"
#include "adapters/ecr/registry.hpp"
#include "adapters/image_search/image_search.hpp"

#include <chrono>
#include <memory>

namespace builder::app {

namespace {

/// How long the registry's answers are waited for when nothing but its health is asked.
constexpr std::chrono::seconds k_check_limit{5};

}  // namespace

std::unique_ptr<ports::Signer> make_signer(const Config& config, adapters::http::Client& http,
                                           adapters::ecr::CredentialSource& credentials,
                                           const Log& log) {
  if (config.kms_key) {
    adapters::ecr::EndpointChoice place = config.aws.endpoints;
    if (!config.kms_key->region.empty()) {
      place.region = config.kms_key->region;
    }
    return adapters::ecr::make_kms_signer(
        adapters::ecr::make_api(
            {.endpoint = adapters::ecr::kms_endpoint(config.kms_endpoint, place),
             .endpoint_setting =
                 config.kms_endpoint.empty() ? "AWS_REGION" : "AWS_ENDPOINT_URL_KMS",
             .region = place.region,
             .service = adapters::ecr::k_kms_api},
            http, credentials, log),
        *config.kms_key);
  }
  return config.signing_key ? adapters::attestation::make_key_signer(*config.signing_key) : nullptr;
}

adapters::ecr::Retention retention(const Config& config) {
  return {.images = config.ecr_keep_images,
          .tagged_only = config.attestations != domain::AttestationRule::off};
}

RegistryParts::RegistryParts(const Config& config, adapters::http::Client& http,
                             SecretStore& secrets, const Log& log)
    : credentials(adapters::ecr::make_credentials(config.aws, http, log)),
      ecr(adapters::ecr::make_api(
          {.endpoint = adapters::ecr::api_endpoint(config.ecr_endpoint, config.aws.endpoints),
           .endpoint_setting = config.ecr_endpoint.empty() ? "AWS_REGION" : "AWS_ENDPOINT_URL_ECR",
           .region = config.aws.endpoints.region},
          http, *credentials, log)),
      ecr_logins(*ecr, secrets),
      logins(ecr_logins, config.registry_logins),
      oci(adapters::oci::make_client({}, http, logins, log)),
      registry(adapters::ecr::make_registry(
          {.kept = retention(config),
           .needs_latest = config.image_reference != work::ImageReference::digest},
          *ecr, ecr_logins, *oci, log)),
      search(adapters::image_search::make_image_search(*oci)),
      attestations(config.attestations == domain::AttestationRule::off
                       ? nullptr
                       : adapters::attestation::make_attestations(
                             *oci, make_signer(config, http, *credentials, log))) {
}

Result<> RegistryParts::check(const std::stop_token& stop) {
  return registry->probe({.deployment_id = domain::DeploymentId("-"),
                          .stop = stop,
                          .deadline = std::chrono::steady_clock::now() + k_check_limit});
}

}  // namespace builder::app
