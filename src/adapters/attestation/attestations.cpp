#include "adapters/attestation/attestations.hpp"

#include "adapters/attestation/bundle.hpp"
#include "adapters/oci/referrers.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace builder::adapters::attestation {

namespace {

using ports::JobContext;
using ports::PublishedImage;
using ports::Statement;

// As cosign and BuildKit write them.
constexpr const char* k_signed_kind = "dev.sigstore.bundle.predicateType";
constexpr const char* k_bundle_content = "dev.sigstore.bundle.content";
constexpr const char* k_unsigned_kind = "in-toto.io/predicate-type";
/// The deployment that attached it.
constexpr const char* k_deployment = "com.deployra.deployment";

std::string_view note(const oci::Referrer& referrer, const char* name) {
  const auto found = referrer.annotations.find(name);
  return found == referrer.annotations.end() ? std::string_view() : found->second;
}

oci::Reference subject_of(const PublishedImage& image) {
  return oci::reference_of(image.repository, {}).with_digest(image.digest);
}

class OciAttestations final : public ports::Attestations {
 public:
  OciAttestations(oci::Client& client, std::unique_ptr<ports::Signer> signer)
      : client_(client), signer_(std::move(signer)) {}

  [[nodiscard]] bool signs() const override { return signer_ != nullptr; }

  Result<bool> has(const JobContext& job, const PublishedImage& image,
                   const std::string& predicate_type) override {
    BUILDER_TRY_ASSIGN(const auto there, oci::find_referrers(client_, job, subject_of(image)));
    return std::ranges::any_of(there, [&](const oci::Referrer& referrer) {
      return note(referrer, kind_note()) == predicate_type;
    });
  }

  Result<> attach(const JobContext& job, const PublishedImage& image,
                  const std::vector<Statement>& statements) override {
    const oci::Reference subject = subject_of(image);
    BUILDER_TRY_ASSIGN(const auto there, oci::find_referrers(client_, job, subject));
    const std::string deployment = job.deployment_id.str();
    std::vector<oci::Artifact> artifacts;
    for (const Statement& statement : statements) {
      const bool is_there = std::ranges::any_of(there, [&](const oci::Referrer& referrer) {
        return note(referrer, kind_note()) == statement.predicate_type &&
               note(referrer, k_deployment) == deployment;
      });
      if (!is_there) {
        BUILDER_TRY_ASSIGN(oci::Artifact artifact, artifact_of(job, statement));
        artifact.annotations[k_deployment] = deployment;
        artifacts.push_back(std::move(artifact));
      }
    }
    return artifacts.empty() ? Result<>() : oci::attach(client_, job, subject, artifacts);
  }

 private:
  [[nodiscard]] const char* kind_note() const { return signs() ? k_signed_kind : k_unsigned_kind; }

  Result<oci::Artifact> artifact_of(const JobContext& job, const Statement& statement) {
    if (signer_ == nullptr) {
      return oci::Artifact{.type = std::string(k_statement_type),
                           .media_type = std::string(k_statement_type),
                           .content = statement.text,
                           .annotations = {{k_unsigned_kind, statement.predicate_type}}};
    }
    BUILDER_TRY_ASSIGN(const std::string public_key, signer_->public_key(job));
    BUILDER_TRY_ASSIGN(
        const std::string signature,
        signer_->sign(job, pre_authentication_encoding(k_statement_type, statement.text)));
    return oci::Artifact{.type = std::string(k_bundle_type),
                         .media_type = std::string(k_bundle_type),
                         .content = sigstore_bundle(statement.text, signature, public_key),
                         .annotations = {{k_bundle_content, "dsse-envelope"},
                                         {k_signed_kind, statement.predicate_type}}};
  }

  oci::Client& client_;
  const std::unique_ptr<ports::Signer> signer_;
};

}  // namespace

std::unique_ptr<ports::Attestations> make_attestations(oci::Client& client,
                                                       std::unique_ptr<ports::Signer> signer) {
  return std::make_unique<OciAttestations>(client, std::move(signer));
}

}  // namespace builder::adapters::attestation
