#include "adapters/policy/gate.hpp"

#include "adapters/attestation/bundle.hpp"
#include "adapters/attestation/verification.hpp"
#include "adapters/oci/referrers.hpp"
#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/provenance.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::adapters::policy {

namespace {

using attestation::SignedStatement;
using nlohmann::json;
using ports::JobContext;

constexpr std::size_t k_largest_bundle = std::size_t{1} << 20U;
constexpr std::size_t k_largest_payload = std::size_t{64} << 10U;
/// Of one image. There is one for each time that it was signed.
constexpr std::size_t k_most_bundles = 100;
constexpr std::size_t k_most_known = 1'000;
constexpr std::string_view k_provenance = "https://slsa.dev/provenance/v";
constexpr const char* k_bundle_kind = "dev.sigstore.bundle.predicateType";
constexpr const char* k_payload_signature = "dev.cosignproject.cosign/signature";

std::unexpected<Error> refused(const oci::Reference& image, std::string words) {
  return std::unexpected(Error{.kind = ErrorKind::build_failed,
                               .message = image.str() + ": " + words,
                               .customer = std::move(words)});
}

/// What a registry said while an image was looked at.
Error unanswered(Error error, const oci::Reference& image) {
  if (error.kind == ErrorKind::cancelled) {
    return error;
  }
  const std::string name = shown(image);
  if (error.is_transient()) {
    error.customer = fmt::format(
        "the registry of {} could not be asked for its signature; please deploy again in a few "
        "minutes",
        name);
  } else {
    error.customer =
        error.kind == ErrorKind::not_found
            ? fmt::format(
                  "{} does not exist, or the platform has no login for it; the "
                  "policy wants it signed",
                  name)
            : fmt::format("the signature of {} cannot be read, which the policy wants", name);
    error.kind = ErrorKind::build_failed;
  }
  error.setting.clear();  // Of a registry that is not everybody's.
  return std::move(error).with_context("looking for signatures of " + image.str());
}

bool is_about(const SignedStatement& statement, const oci::Reference& image) {
  return std::ranges::find(statement.subjects, image.digest) != statement.subjects.end();
}

/// By the note in the list alone, which nobody has signed: whether it is worth a look.
bool may_count(const oci::Referrer& referrer) {
  const auto kind = referrer.annotations.find(k_bundle_kind);
  return referrer.type == attestation::k_bundle_type && is_digest(referrer.digest) &&
         (kind == referrer.annotations.end() || kind->second == domain::k_image_signature_type ||
          kind->second.starts_with(k_provenance));
}

json files_of(const oci::Manifest& manifest) {
  json layers = part_of(parse_json(manifest.bytes), "layers");
  return layers.is_array() ? layers : json::array();
}

}  // namespace

Result<oci::Reference> Gate::admit(const JobContext& job, const oci::Reference& named,
                                   const std::string& pinned) {
  const auto rule = policy_->rule_for(named);
  if (!rule) {
    return refused(named, rule.error());
  }
  if (*rule == nullptr || !(*rule)->needs_signature()) {
    return named;
  }
  oci::Reference image = named;
  if (image.digest.empty()) {
    image.digest = pinned;
  }
  if (image.digest.empty()) {
    auto found = client_.head(job, named);
    if (!found) {
      return std::unexpected(unanswered(std::move(found).error(), named));
    }
    image.digest = std::move(found->digest);
  }
  BUILDER_TRY(check_signature(job, image, **rule));
  return image;
}

Result<> Gate::check_signature(const JobContext& job, const oci::Reference& image,
                               const ImageRule& rule) {
  const std::string known = fmt::format("{} {}/{}@{}", &rule - policy_->images.data(),
                                        lower_case(image.host), image.repository, image.digest);
  if (signed_.lock()->contains(known)) {
    return {};
  }
  Found found;
  auto looked = look_at_bundles(job, image, rule, found);
  if (looked && !found.signature) {
    looked = look_at_tag(job, image, rule, found);
  }
  if (!looked) {
    return std::unexpected(unanswered(std::move(looked).error(), image));
  }
  if (!found.signature || (rule.provenance && !found.provenance)) {
    return refused(image, fmt::format("the policy \"{}\" wants {} {}; {}", rule.name, shown(image),
                                      found.signature ? "with signed provenance"
                                                      : "signed with the operator's key",
                                      "choose an image that is, or ask the operator"));
  }
  auto all = signed_.lock();
  if (all->size() >= k_most_known) {
    all->clear();
  }
  all->insert(known);
  return {};
}

Result<> Gate::look_at_bundles(const JobContext& job, const oci::Reference& image,
                               const ImageRule& rule, Found& found) {
  BUILDER_TRY_ASSIGN(const auto referrers, oci::find_referrers(client_, job, image));
  std::size_t looked_at = 0;
  for (const oci::Referrer& referrer : referrers) {
    if (!may_count(referrer)) {
      continue;
    }
    if (++looked_at > k_most_bundles ||
        (found.signature && (found.provenance || !rule.provenance))) {
      break;
    }
    const auto bundle = content_of(job, image.with_digest(referrer.digest));
    if (!bundle) {
      if (bundle.error().is_transient() || bundle.error().kind == ErrorKind::cancelled) {
        return std::unexpected(bundle.error());
      }
      job.log.warning("{}: {}", referrer.digest, bundle.error().message);
      continue;
    }
    const auto statement = attestation::verified_statement(*bundle, rule.signed_by);
    if (statement && is_about(*statement, image)) {
      found.signature =
          found.signature || statement->predicate_type == domain::k_image_signature_type;
      found.provenance = found.provenance || statement->predicate_type.starts_with(k_provenance);
    }
  }
  return {};
}

/// Where cosign 2 keeps signatures.
Result<> Gate::look_at_tag(const JobContext& job, const oci::Reference& image,
                           const ImageRule& rule, Found& found) {
  oci::Reference place = image;
  place.digest.clear();
  place.tag = oci::referrers_tag(image.digest) + ".sig";
  const auto manifest = client_.manifest(job, place);
  if (!manifest) {
    return manifest.error().kind == ErrorKind::not_found ? Result<>()
                                                         : std::unexpected(manifest.error());
  }
  const json layers = files_of(*manifest);
  for (std::size_t i = 0; i < std::min(layers.size(), k_most_bundles) && !found.signature; ++i) {
    const json& layer = layers[i];
    const auto notes = layer.is_object() ? layer.find("annotations") : layer.end();
    if (!layer.is_object() || notes == layer.end() || !notes->is_object() ||
        !is_digest(text_of(layer, "digest"))) {
      continue;
    }
    BUILDER_TRY_ASSIGN(const std::string payload,
                       client_.blob(job, image, text_of(layer, "digest"), k_largest_payload));
    found.signature = attestation::verified_payload(payload, text_of(*notes, k_payload_signature),
                                                    rule.signed_by) == image.digest;
  }
  return {};
}

Result<std::string> Gate::content_of(const JobContext& job, const oci::Reference& artifact) {
  BUILDER_TRY_ASSIGN(const oci::Manifest manifest, client_.manifest(job, artifact));
  const json layers = files_of(manifest);
  const std::string digest =
      layers.empty() || !layers[0].is_object() ? std::string() : text_of(layers[0], "digest");
  if (!is_digest(digest)) {
    return failure(ErrorKind::internal, "no artifact with one file");
  }
  return client_.blob(job, artifact, digest, k_largest_bundle);
}

}  // namespace builder::adapters::policy
