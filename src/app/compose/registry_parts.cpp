#include "app/compose/registry_parts.hpp"

#include "adapters/ecr/registry.hpp"
#include "adapters/image_search/image_search.hpp"

#include <chrono>

namespace builder::app {

namespace {

/// How long the registry's answers are waited for when nothing but its health is asked.
constexpr std::chrono::seconds k_check_limit{5};

}  // namespace

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
          {.keep_images = config.ecr_keep_images,
           .needs_latest = config.image_reference != work::ImageReference::digest},
          *ecr, ecr_logins, *oci, log)),
      search(adapters::image_search::make_image_search(*oci)) {
}

Result<> RegistryParts::check(const std::stop_token& stop) {
  return registry->probe({.deployment_id = domain::DeploymentId("-"),
                          .stop = stop,
                          .deadline = std::chrono::steady_clock::now() + k_check_limit});
}

}  // namespace builder::app
