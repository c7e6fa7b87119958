#include "adapters/attestation/attestations.hpp"

#include "adapters/attestation/bundle.hpp"
#include "adapters/attestation/encrypted_key.hpp"
#include "adapters/attestation/key_file.hpp"
#include "base/text.hpp"
#include "fakes/memory_registry.hpp"
#include "fakes/signing_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::adapters::attestation {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// The same one: openssl ec
constexpr const char* k_sec1_key = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEICdnZs0p3/fjhLXmYpZ+CuP8AANcxoAzIFps6vssV52SoAoGCCqGSM49
AwEHoUQDQgAE28QExs6H8shV6Iz5dAIHhmFZb0cFwQhHi8gu/pKYyNl9rOhVaQpT
9D27nPGWpebCjj5zcPfsmn4nQHZlw2V+zA==
-----END EC PRIVATE KEY-----
)";
constexpr const char* k_other_curve = R"(-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDAZzxPIT76HPHtpqs7P
kaHkfz8mH8pz8d62EU8UuVjkOMDrBYSH7PrIBD5SjT9VD2mhZANiAAQSVpyqk7kH
XmdM5bRXAqrrubjajK5uDDi/bEqssuDERe/TK49Kn3ZOrbXUfm+CAcnmi9WjXt7r
AMKlbi1PpZnST5Mp3KtvtV1O9klxsdphJoZvnk1SJkXM8iQYbS6iR6o=
-----END PRIVATE KEY-----
)";

/// `cosign generate-key-pair`, password "correct horse".
constexpr const char* k_cosign_key = R"(-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJ2cGdwZ0ZNdHdXa05Lcmg5OEdIbHQ0OFBVbWtYaTA1
R0ltRElwM2hMNDNvPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJEakdta256Mlo3SzIrdEhOeWd1RTlBNVFJb1pyMVVqaCJ9LCJj
aXBoZXJ0ZXh0IjoiQ1hrQUwrcDJSUEhjSytxZlQ3SXE2czZTcVphQnhaUDQ2dGVY
eklYRE1DekxENDk4MEQ0NC83enhFdzl2bDFqT2owdTkwa2hULytKdHM5VGtRMHRw
YVkrRWsvSTBhckk5YWFvcGFzZGZYeFo0WnY2WEpnTTB0WEs4T0hLWHdwNUYxL2N5
VTVWTWJYMUUrUncza3JxWlJnRURoK1FIdlUxRGVYQ0RiUERlYVdqdHZsZ2lmNjZW
RXVvUE5abEFYTE1CZ0VPM0xROHF5S0pnMlE9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
)";
constexpr const char* k_cosign_public =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEbBTtD63mF5UkvmXvb7NY6Tbobzz6s+"
    "jDFVKwMi0l8PCohIiiWto00HnJgtYnBmFTQookQp5hrdKq0LMauVbzZw==";
/// `openssl pkcs8 -topk8 -v2 aes-256-cbc`, the same password.
constexpr const char* k_encrypted_key = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgK2mSFtAmW0AICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEOlz3o/2QmrQHa6OEz/WRh0EgZA1
ea8Wf7/ww9jmtFi4X3I7mZ9YtOaFEcZsL+ct5CHK0FggN58lqIeokG/GjhJAXqmo
EEUgorqZQxHy288PVTWuhDgcP3KgOaVhgxP2T4wnJ9Yblhmpkzsdo86cU/W8f/zB
r+EECfrwj5dGZtjJL1ego+zo/OE5+Y6z8yPuHbMUVQ4CMF0c6St1bDe2FlgxKKU=
-----END ENCRYPTED PRIVATE KEY-----
)";
constexpr const char* k_encrypted_public =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9wfb4VfPngMzcg8RM8B2zvlWR/"
    "SBrvM+cDycPyh9KLZUEbECz56CFo1d4lHWlCy0+EF9Hz8A6lU/jtSDuul82A==";

const ports::JobContext k_job{.deployment_id = domain::DeploymentId("d1"), .stop = {}};

PrivateKey key() {
  return *PrivateKey::parse(Secret(fakes::k_signing_key), {});
}

bool verifies(const std::string& public_key, std::string_view message,
              const std::string& signature) {
  const auto* der = reinterpret_cast<const unsigned char*>(public_key.data());
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> parsed(
      d2i_PUBKEY(nullptr, &der, static_cast<long>(public_key.size())), &EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, parsed.get());
  return EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                          message.size()) == 1;
}

TEST(Dsse, WhatIsSignedTellsItsTypeAndLength) {
  // The protocol's own example.
  EXPECT_EQ(pre_authentication_encoding("http://example.com/HelloWorld", "hello world"),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  EXPECT_EQ(pre_authentication_encoding("", ""), "DSSEv1 0  0 ");
}

TEST(SigningKey, SignsSoThatItsPublicHalfVerifies) {
  for (const char* pem : {fakes::k_signing_key, k_sec1_key}) {
    const auto signer = make_key_signer(*PrivateKey::parse(Secret(pem), {}));
    const auto signature = signer->sign(k_job, "message");
    ASSERT_TRUE(signature) << signature.error().message;
    const std::string public_key = *make_key_signer(key())->public_key(k_job);
    EXPECT_TRUE(verifies(public_key, "message", *signature));
    EXPECT_FALSE(verifies(public_key, "another", *signature));
  }
}

TEST(SigningKey, SaysWhatItCannotUse) {
  EXPECT_THAT(PrivateKey::parse(Secret(k_other_curve), {}).error().message, HasSubstr("P-256"));
  for (const std::string_view text : {"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nx\n",
                                      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n"}) {
    EXPECT_THAT(PrivateKey::parse(Secret(std::string(text)), {}).error().message,
                HasSubstr("set SIGNING_KEY_PASSWORD"));
    EXPECT_THAT(PrivateKey::parse(Secret(std::string(text)), Secret("x")).error().message,
                HasSubstr("holds a"));
  }
  for (const std::string_view text : {"", "nonsense", "-----BEGIN PUBLIC KEY-----\nMFk=\n"}) {
    EXPECT_THAT(PrivateKey::parse(Secret(std::string(text)), {}).error().message,
                HasSubstr("no private key"));
  }
}

TEST(SigningKey, MayBeEncrypted) {
  for (const auto& [pem, public_half] :
       {std::pair{k_cosign_key, k_cosign_public}, std::pair{k_encrypted_key, k_encrypted_public}}) {
    const auto opened = PrivateKey::parse(Secret(pem), Secret("correct horse"));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(base64_encode(*make_key_signer(*opened)->public_key(k_job)), public_half);
    EXPECT_EQ(PrivateKey::parse(Secret(pem), Secret("correct horsf")).error().message,
              "holds an encrypted key, and SIGNING_KEY_PASSWORD is not its password");
  }
}

TEST(SigningKey, AsksForNoMoreMemoryThanItShould) {
  const auto with = [](const std::string& scrypt) {
    return decrypt_cosign_key(R"({"kdf":{"name":"scrypt","params":{)" + scrypt +
                                  R"(},"salt":"AAAA"},"cipher":{"name":"nacl/secretbox",)" +
                                  R"("nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"ciphertext":")" +
                                  std::string(40, 'A') + R"("})",
                              Secret("x"))
        .error()
        .message;
  };
  EXPECT_THAT(with(R"("N":1024,"r":8,"p":1)"), HasSubstr("is not its password"));
  for (const char* scrypt :
       {R"("N":1073741824,"r":8,"p":1)", R"("N":1024,"r":1073741824,"p":1)",
        R"("N":1024,"r":8,"p":9999999)", R"("N":1000,"r":8,"p":1)", R"("N":0,"r":8,"p":1)",
        R"("N":-2,"r":8,"p":1)", R"("N":"x","r":8,"p":1)", ""}) {
    EXPECT_THAT(with(scrypt), HasSubstr("unknown way")) << scrypt;
  }
  for (const char* text : {"", "[]", "3", R"({"kdf":3,"cipher":4,"ciphertext":5})",
                           R"({"kdf":{"name":"scrypt"},"cipher":[]})"}) {
    EXPECT_FALSE(decrypt_cosign_key(text, Secret("x"))) << text;
  }
}

class AttestationsTest : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<ports::Attestations> attestations(bool with_key) {
    return make_attestations(registry, with_key ? make_key_signer(key()) : nullptr);
  }

  /// The content of everything that refers to the image.
  std::vector<std::pair<json, std::string>> attached() {
    std::vector<std::pair<json, std::string>> all;
    for (const auto& [digest, manifest] : registry.manifests) {
      const auto content = json::parse(manifest.bytes);
      if (content.contains("subject")) {
        EXPECT_EQ(content["subject"]["digest"], image.digest);
        EXPECT_EQ(content["artifactType"], content["layers"][0]["mediaType"]);
        all.emplace_back(content, registry.blobs.at(content["layers"][0]["digest"]));
      }
    }
    return all;
  }

  fakes::MemoryRegistry registry{GetParam()};
  ports::PublishedImage image{.repository = {"registry.example.com/deployra/s"},
                              .tag = "d1",
                              .digest = registry.store(R"({"the":"image"})")};
  const ports::Statement statement{.predicate_type = "https://example.com/kind",
                                   .text = R"({"said":"so"})"};
};

INSTANTIATE_TEST_SUITE_P(Registries, AttestationsTest, testing::Bool(), [](const auto& with_lists) {
  return with_lists.param ? "WithLists" : "WithoutLists";
});

TEST_P(AttestationsTest, ASignedOneIsASigstoreBundle) {
  const auto made = attestations(true);
  EXPECT_TRUE(made->signs());
  ASSERT_TRUE(made->attach(k_job, image, {statement}));
  const auto all = attached();
  ASSERT_EQ(all.size(), 1u);
  const auto& [manifest, content] = all.front();
  EXPECT_EQ(manifest["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
  EXPECT_EQ(manifest["annotations"]["dev.sigstore.bundle.predicateType"], statement.predicate_type);
  EXPECT_THAT(content, Not(HasSubstr("PRIVATE")));

  const auto bundle = json::parse(content);
  EXPECT_EQ(bundle["mediaType"], manifest["artifactType"]);
  const std::string public_key = *make_key_signer(key())->public_key(k_job);
  const auto& envelope = bundle["dsseEnvelope"];
  const std::string payload = *base64_decode(envelope["payload"].get<std::string>());
  EXPECT_EQ(payload, statement.text);
  EXPECT_TRUE(verifies(
      public_key, pre_authentication_encoding(envelope["payloadType"].get<std::string>(), payload),
      *base64_decode(envelope["signatures"][0]["sig"].get<std::string>())));
  EXPECT_EQ(
      hex(*base64_decode(bundle["verificationMaterial"]["publicKey"]["hint"].get<std::string>())),
      sha256_hex(public_key));
}

TEST_P(AttestationsTest, WithoutAKeyTheStatementIsThereAsItIs) {
  const auto made = attestations(false);
  EXPECT_FALSE(made->signs());
  ASSERT_TRUE(made->attach(k_job, image, {statement}));
  const auto all = attached();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all.front().first["artifactType"], "application/vnd.in-toto+json");
  EXPECT_EQ(all.front().first["annotations"]["in-toto.io/predicate-type"],
            statement.predicate_type);
  EXPECT_EQ(all.front().second, statement.text);
}

TEST_P(AttestationsTest, ADeploymentSaysItOnce) {
  const auto made = attestations(true);
  for (int times = 0; times < 2; ++times) {
    ASSERT_TRUE(made->attach(k_job, image, {statement}));
    EXPECT_EQ(attached().size(), 1u) << "though each signature is another";
  }
  ports::JobContext another = k_job;
  another.deployment_id = domain::DeploymentId("d2");
  ASSERT_TRUE(made->attach(another, image, {statement}));
  EXPECT_EQ(attached().size(), 2u);
}

TEST_P(AttestationsTest, KnowsWhatIsThere) {
  const auto made = attestations(true);
  EXPECT_FALSE(*made->has(k_job, image, statement.predicate_type));
  ASSERT_TRUE(attestations(false)->attach(k_job, image, {statement}));
  EXPECT_FALSE(*made->has(k_job, image, statement.predicate_type)) << "that one is not signed";
  ASSERT_TRUE(made->attach(k_job, image, {statement}));
  EXPECT_TRUE(*made->has(k_job, image, statement.predicate_type));
  EXPECT_FALSE(*made->has(k_job, image, "https://example.com/other"));
}

}  // namespace
}  // namespace builder::adapters::attestation
