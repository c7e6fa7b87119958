#include "adapters/policy/gate.hpp"

#include "adapters/attestation/attestations.hpp"
#include "adapters/attestation/key_file.hpp"
#include "adapters/policy/policy_file.hpp"
#include "base/text.hpp"
#include "domain/provenance.hpp"
#include "fakes/memory_registry.hpp"
#include "fakes/public_key.hpp"
#include "fakes/signing_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::policy {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Made for the tests, and used for nothing: openssl genpkey -algorithm EC -pkeyopt
// ec_paramgen_curve:P-256
constexpr const char* k_strangers_key = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgy9t+zRO2GfLm6Kpm
5TaD/m9/zrfNGL43vU8l48xppaehRANCAARF7a/gf6uPW1dVPB17BvQmCYJ43TKH
zeVpbpb1mRtD91z9rMjN7KC6rAL/4woRqiAJIxjymZQ/2sKc0CB0kFJp
-----END PRIVATE KEY-----
)";

const ports::JobContext k_job{.deployment_id = domain::DeploymentId("d1"), .stop = {}};
const ports::Repository k_repository{"registry.example.com/base/web"};

oci::Reference named(const std::string& text) {
  return *oci::parse_reference("registry.example.com/base/web" + text);
}

/// A registry with an image, `signed_by` as the policy says.
class Gates : public testing::TestWithParam<bool> {
 protected:
  Gates() : image_(registry_.store(R"({"layers":[]})", "1")) {}

  Gate gate(const std::string& more = {}) {
    const auto key = [](const std::string&) { return Result<std::string>(fakes::k_public_key); };
    return {std::make_shared<const Policy>(
                *parse_policy("[[images]]\nname = \"golden\"\nfrom = "
                              "[\"registry.example.com/base/*\"]\nsigned_by = [\"base.pem\"]\n" +
                                  more,
                              key)),
            registry_};
  }

  void attach(const std::string& predicate, const std::string& statement,
              const char* key = fakes::k_signing_key, const std::string& to = {}) {
    auto attestations = attestation::make_attestations(
        registry_, attestation::make_key_signer(*attestation::PrivateKey::parse(Secret(key), {})));
    const auto job = k_job;
    ASSERT_TRUE(attestations->attach(job, {k_repository, "1", to.empty() ? image_ : to},
                                     {{predicate, statement}}));
  }

  void sign(const char* key = fakes::k_signing_key, const std::string& to = {}) {
    attach(std::string(domain::k_image_signature_type), domain::signature_statement(image_), key,
           to);
  }

  fakes::MemoryRegistry registry_{GetParam()};
  const std::string image_;
};

TEST_P(Gates, LetAnImageInThatIsSigned) {
  EXPECT_THAT(gate().admit(k_job, named(":1")).error().customer,
              HasSubstr("the policy \"golden\" wants registry.example.com/base/web:1"));
  sign();
  const auto admitted = gate().admit(k_job, named(":1"));
  ASSERT_TRUE(admitted) << admitted.error().message;
  EXPECT_EQ(admitted->digest, image_);
  EXPECT_TRUE(gate().admit(k_job, named("@" + image_)));
}

TEST_P(Gates, LookAtThePinnedVersion) {
  sign();
  const std::string other = registry_.store(R"({"layers":[1]})", "1");
  EXPECT_FALSE(gate().admit(k_job, named(":1")));
  const auto admitted = gate().admit(k_job, named(":1"), image_);
  ASSERT_TRUE(admitted);
  EXPECT_EQ(admitted->digest, image_);
}

TEST_P(Gates, RefuseWhatAStrangerHasSigned) {
  sign(k_strangers_key);
  EXPECT_FALSE(gate().admit(k_job, named(":1")));
}

TEST_P(Gates, RefuseASignatureOfAnotherImage) {
  const std::string other = registry_.store(R"({"layers":[1]})", "2");
  sign(fakes::k_signing_key, other);
  EXPECT_FALSE(gate().admit(k_job, named(":2")));
}

TEST_P(Gates, RefuseAnAttestationInASignaturesPlace) {
  attach("https://slsa.dev/provenance/v1",
         json{{"subject", {{{"digest", {{"sha256", image_.substr(7)}}}}}},
              {"predicateType", "https://slsa.dev/provenance/v1"}}
             .dump());
  EXPECT_FALSE(gate().admit(k_job, named(":1")));
  sign();
  EXPECT_TRUE(gate().admit(k_job, named(":1")));
  EXPECT_TRUE(gate("provenance = true\n").admit(k_job, named(":1")));
}

TEST_P(Gates, WantProvenanceWhereTheRuleDoes) {
  sign();
  EXPECT_THAT(gate("provenance = true\n").admit(k_job, named(":1")).error().customer,
              HasSubstr("with signed provenance"));
}

TEST_P(Gates, RememberWhatIsSigned) {
  sign();
  Gate one = gate();
  ASSERT_TRUE(one.admit(k_job, named("@" + image_)));
  registry_.blobs.clear();
  registry_.manifests.clear();
  EXPECT_TRUE(one.admit(k_job, named("@" + image_)));
  EXPECT_FALSE(one.admit(k_job, named("@sha256:" + std::string(64, '0'))));
}

TEST_P(Gates, ReadWhatCosign2Wrote) {
  const auto signer = attestation::make_key_signer(
      *attestation::PrivateKey::parse(Secret(fakes::k_signing_key), {}));
  const auto write = [&](const std::string& digest, const std::string& type) {
    const std::string payload = json{
        {"critical",
         {{"identity", {{"docker-reference", ""}}},
          {"image", {{"docker-manifest-digest", digest}}},
          {"type", type}}},
        {"optional", nullptr}}.dump();
    registry_.blobs["sha256:" + sha256_hex(payload)] = payload;
    registry_.store(json{{"layers",
                          {1,
                           {{"digest", "x"}},
                           {{"digest", "sha256:" + sha256_hex(payload)},
                            {"annotations",
                             {{"dev.cosignproject.cosign/signature",
                               base64_encode(*signer->sign(k_job, payload))}}}}}}}
                        .dump(),
                    "sha256-" + image_.substr(7) + ".sig");
  };
  constexpr const char* k_type = "cosign container image signature";
  write("sha256:" + std::string(64, '0'), k_type);
  EXPECT_FALSE(gate().admit(k_job, named(":1")));
  write(image_, "something else");
  EXPECT_FALSE(gate().admit(k_job, named(":1")));
  write(image_, k_type);
  EXPECT_TRUE(gate().admit(k_job, named(":1")));
}

TEST_P(Gates, TellAnImageThatIsNotThere) {
  const auto refused = gate().admit(k_job, named(":9"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::build_failed);
  EXPECT_THAT(refused.error().customer, HasSubstr("does not exist"));
}

INSTANTIATE_TEST_SUITE_P(Registries, Gates, testing::Bool(),
                         [](const auto& row) { return row.param ? "WithLists" : "WithoutLists"; });

class HostileBundles : public testing::TestWithParam<const char*> {};

TEST_P(HostileBundles, AreNoStatement) {
  const std::vector keys{*attestation::PublicKey::parse(fakes::k_public_key)};
  EXPECT_FALSE(attestation::verified_statement(GetParam(), keys));
  EXPECT_FALSE(attestation::verified_payload(GetParam(), GetParam(), keys));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, HostileBundles,
    testing::Values("", "{", "[]", "null", "7", R"({"dsseEnvelope":7})",
                    R"({"dsseEnvelope":{"signatures":7}})",
                    R"({"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json",
                        "payload":"%%","signatures":[]}})",
                    R"({"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json",
                        "payload":"e30=","signatures":[]}})",
                    R"({"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json",
                        "payload":"e30=","signatures":[7,{},{"sig":7},{"sig":""},{"sig":"e30="}]}})"));

TEST(PublicKeys, OfOtherKindsAreRefused) {
  EXPECT_FALSE(attestation::PublicKey::parse(""));
  EXPECT_FALSE(attestation::PublicKey::parse(fakes::k_signing_key));
}

}  // namespace
}  // namespace builder::adapters::policy
