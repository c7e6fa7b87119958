#include "adapters/ecr/endpoints.hpp"
#include "adapters/ecr/rights.hpp"
#include "adapters/http/client.hpp"
#include "app/compose/registry_parts.hpp"
#include "app/doctor/checks.hpp"
#include "app/doctor/dated_answer.hpp"
#include "base/text.hpp"
#include "domain/ids.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

namespace builder::app {

namespace {

using adapters::ecr::PolicyJudgement;

constexpr const char* k_aws = "AWS";
constexpr const char* k_not_tried_rights =
    "ecr:CreateRepository and the push cannot be tried without an effect; --push-test tries them";
constexpr const char* k_cure_for_none =
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this instance or "
    "container a role (docs/operations.md, Who the worker is at AWS)";
constexpr const char* k_cure_for_source =
    "correct this source, or use another one (docs/operations.md, Who the worker is at AWS)";
constexpr const char* k_cure_for_rights =
    "allow it in the IAM policy of the worker (docs/operations.md, Who the worker is at AWS)";

ports::JobContext job_of(const Circumstances& now) {
  return {.deployment_id = domain::DeploymentId("-"), .stop = now.stop, .deadline = now.deadline};
}

/// What is refused of one operation says nothing of the others.
bool is_refused_right(const Error& error) {
  return error.message.contains("AccessDenied");
}

void look_at_rights(const Circumstances& now, RegistryParts& parts, Report& report) {
  for (const auto& right :
       adapters::ecr::try_rights(*parts.ecr, retention(now.config), now.stop, now.deadline)) {
    if (right.allowed) {
      report.add(k_aws, right.name, State::ok, "allowed", {});
    } else {
      report.add(k_aws, right.name, State::failure, right.allowed.error().message,
                 {.setting = right.allowed.error().setting, .cure = k_cure_for_rights});
    }
  }
}

void look_at_policy(const Circumstances& now, RegistryParts& parts, Report& report) {
  constexpr const char* k_what = "lifecycle policy";
  const auto seen =
      adapters::ecr::look_at_policy(*parts.ecr, retention(now.config), now.stop, now.deadline);
  if (!seen) {
    report.add(k_aws, k_what, State::not_tried,
               "the repositories cannot be listed: " + seen.error().message, {});
  } else if (!*seen) {
    report.add(k_aws, k_what, State::not_tried, "no service has a repository yet", {});
  } else if (!(*seen)->judgement) {
    report.add(k_aws, k_what, State::warning,
               (*seen)->repository + " has none: its images are kept for ever",
               {.setting = "ECR_KEEP_IMAGES",
                .cure = "the next deployment writes one, if ecr:PutLifecyclePolicy is allowed"});
  } else if (*(*seen)->judgement == PolicyJudgement::operators) {
    report.add(k_aws, k_what, State::ok,
               (*seen)->repository + " has one of yours, which stays as it is", {});
  } else if (*(*seen)->judgement == PolicyJudgement::outdated) {
    report.add(
        k_aws, k_what, State::ok,
        fmt::format("{} has one for other settings than ECR_KEEP_IMAGES={} and ATTESTATIONS; "
                    "its next deployment changes that",
                    (*seen)->repository, now.config.ecr_keep_images),
        {});
  } else {
    report.add(k_aws, k_what, State::ok,
               fmt::format("{} keeps {} images (ECR_KEEP_IMAGES)", (*seen)->repository,
                           now.config.ecr_keep_images),
               {});
  }
}

void look_at_identity(const Circumstances& now, adapters::http::Client& http,
                      const adapters::ecr::CredentialsPtr& credentials, Report& report) {
  constexpr const char* k_what = "identity";
  const auto& aws = now.config.aws;
  const auto sts = aws.environment ? aws.environment("AWS_ENDPOINT_URL_STS") : std::nullopt;
  if (!now.config.ecr_endpoint.empty() && (!sts || sts->empty())) {
    report.add(k_aws, k_what, State::not_tried,
               "AWS_ENDPOINT_URL_ECR names an endpoint of its own, and AWS_ENDPOINT_URL_STS none",
               {});
    return;
  }
  const auto arn =
      adapters::ecr::caller_identity(aws, http, credentials->key, now.stop, now.deadline);
  if (arn) {
    report.add(k_aws, k_what, State::ok, *arn, {});
  } else {
    // Nothing but the roles of some sources needs STS.
    report.add(k_aws, k_what, State::warning, "STS does not say who we are: " + arn.error().message,
               {.setting = arn.error().setting});
  }
}

/// Signs a line that speaks of nothing: what a key of KMS may do is known by no other way.
void look_at_signing(const Circumstances& now, adapters::http::Client& http, RegistryParts& parts,
                     const Log& log, Report& report) {
  constexpr const char* k_what = "signing";
  if (now.config.attestations == domain::AttestationRule::off) {
    return;
  }
  const auto signer = make_signer(now.config, http, *parts.credentials, log);
  if (signer == nullptr) {
    report.warning(k_what, "provenance is not signed: whoever may push can change it",
                   {.setting = "SIGNING_KEY", .cure = "docs/provenance.md, Keys"});
    return;
  }
  const auto key = signer->public_key(job_of(now));
  const auto signature = key ? signer->sign(job_of(now), "deployra-builder doctor")
                             : Result<std::string>(std::unexpected(key.error()));
  if (!signature) {
    report.failure(k_what, signature.error(),
                   {.setting = "SIGNING_KEY",
                    .cure = is_refused_right(signature.error())
                                ? "allow kms:GetPublicKey and kms:Sign for this key"
                                : "docs/provenance.md, Keys"});
    return;
  }
  report.ok(k_what, "images are signed; SHA-256 of the public key (DER): " + sha256_hex(*key));
}

/// Makes a repository, and leaves it with a blob that no image refers to.
void push(const Circumstances& now, RegistryParts& parts, Report& report) {
  const auto job = job_of(now);
  const auto repository = parts.registry->ensure_repository(job, domain::ServiceId("doctor"));
  if (!repository) {
    report.add(k_aws, "ecr:CreateRepository", State::failure, repository.error().message,
               {.setting = repository.error().setting, .cure = k_cure_for_rights});
    return;
  }
  report.add(k_aws, "ecr:CreateRepository", State::ok, repository->path() + " is there", {});
  const auto pushed = parts.oci->push_blob(
      job, {.host = repository->host(), .repository = repository->path(), .tag = {}, .digest = {}},
      "deployra-builder doctor\n");
  if (pushed) {
    report.ok("push", "a blob was taken by " + repository->path());
  } else {
    report.failure("push", pushed.error(),
                   {.setting = parts.credentials->setting(), .cure = k_cure_for_rights});
  }
}

void look_at_registry(const Circumstances& now, RegistryParts& parts, const std::string& host,
                      Report& report) {
  if (const auto answered = parts.registry->probe(job_of(now)); !answered) {
    report.failure("server", answered.error(), {.cure = "look at the way from here to " + host});
    return;
  }
  report.ok("server", host + " answers and takes the token");
  if (now.settings.push_test) {
    push(now, parts, report);
  } else {
    report.not_tried("push", k_not_tried_rights);
  }
}

}  // namespace

void check_registry(const Circumstances& now, Report& report) {
  const auto http = adapters::http::make_client();
  const auto heard = std::make_shared<HeardLog>();
  RegistryParts parts(now.config, *http, now.secrets, Log(heard));
  const auto job = job_of(now);
  const auto credentials = parts.credentials->get(now.stop, now.deadline);
  if (!credentials) {
    report.add(k_aws, "credentials", State::failure, credentials.error().message,
               {.setting = parts.credentials->setting(),
                .cure = parts.credentials->setting() == "AWS_ACCESS_KEY_ID" ? k_cure_for_none
                                                                            : k_cure_for_source});
    report.not_tried("all", "without credentials nothing can be asked");
    return;
  }
  report.add(
      k_aws, "credentials", State::ok,
      fmt::format("{}, region {}", parts.credentials->name(), now.config.aws.endpoints.region), {});
  look_at_signing(now, *http, parts, Log(heard), report);
  const auto host = parts.ecr_logins.own_host(job);
  if (host) {
    report.add(k_aws, "ecr:GetAuthorizationToken", State::ok, "allowed; the registry is " + *host,
               {});
  } else {
    report.add(
        k_aws, "ecr:GetAuthorizationToken", State::failure, host.error().message,
        {.setting = host.error().setting,
         .cure = is_refused_right(host.error()) ? k_cure_for_rights
                                                : "correct the keys, the region or the endpoint"});
    report.not_tried("server", "it needs ECR's token");
  }
  if (host || is_refused_right(host.error())) {
    look_at_rights(now, parts, report);
    look_at_policy(now, parts, report);
    look_at_identity(now, *http, *credentials, report);
  }
  compare_dates(now, *http, "ECR",
                adapters::ecr::api_endpoint(now.config.ecr_endpoint, now.config.aws.endpoints),
                report);
  if (host) {
    // Last: a registry that is away is asked again for as long as there is time.
    look_at_registry(now, parts, *host, report);
  }
  for (const std::string& line : heard->warnings()) {
    report.add(k_aws, "log", State::warning, line, {});
  }
}

}  // namespace builder::app
