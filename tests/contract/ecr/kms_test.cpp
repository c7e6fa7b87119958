// Against moto's KMS, behind a verifier of requests' signatures that signs as AWS does.
#include "adapters/ecr/kms_signer.hpp"
#include "base/text.hpp"
#include "fakes/fake_steps.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace builder::adapters::ecr {
namespace {

using Clock = std::chrono::steady_clock;

bool verifies(const std::string& public_key, const std::string& message,
              const std::string& signature) {
  const auto* der = reinterpret_cast<const unsigned char*>(public_key.data());
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      d2i_PUBKEY(nullptr, &der, static_cast<long>(public_key.size())), &EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                          message.size()) == 1;
}

class KmsTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const endpoint = std::getenv("ECR_ENDPOINT");
    if (endpoint == nullptr) {
      if (std::getenv("CI") != nullptr) {
        FAIL() << "ECR_ENDPOINT is not set";
      }
      GTEST_SKIP() << "needs moto: run by ./test contract";
    }
    endpoint_ = endpoint;
  }

  std::unique_ptr<Api> api() {
    return make_api({.endpoint = endpoint_, .region = "us-east-1", .service = k_kms_api}, *http_,
                    *credentials_, fakes::null_log());
  }

  std::string make_key(const std::string& spec) {
    auto made = api()->call("CreateKey", {{"KeySpec", spec}, {"KeyUsage", "SIGN_VERIFY"}}, {},
                            job_.deadline);
    EXPECT_TRUE(made) << made.error().error.message;
    return made ? (*made)["KeyMetadata"]["KeyId"].get<std::string>() : "";
  }

  std::string endpoint_;
  std::unique_ptr<http::Client> http_ = http::make_client();
  std::unique_ptr<CredentialSource> credentials_ =
      make_credentials({.endpoints = {.region = "us-east-1"},
                        .access_key_id = std::getenv("AWS_ACCESS_KEY_ID"),
                        .secret_access_key = Secret(std::getenv("AWS_SECRET_ACCESS_KEY")),
                        .session_token = {},
                        .environment = {}},
                       *http_, fakes::null_log());
  const ports::JobContext job_{.deployment_id = domain::DeploymentId("d"),
                               .stop = {},
                               .deadline = Clock::now() + std::chrono::seconds(20)};
};

TEST_F(KmsTest, SignsWithTheKeyOfThatName) {
  const auto signer = make_kms_signer(api(), {.id = make_key("ECC_NIST_P256"), .region = {}});
  const auto public_key = signer->public_key(job_);
  ASSERT_TRUE(public_key) << public_key.error().message;
  const auto signature = signer->sign(job_, "message");
  ASSERT_TRUE(signature) << signature.error().message;
  EXPECT_TRUE(verifies(*public_key, "message", *signature));
  EXPECT_FALSE(verifies(*public_key, "another", *signature));
}

TEST_F(KmsTest, SaysWhichKeyItCannotUse) {
  const auto rsa = make_kms_signer(api(), {.id = make_key("RSA_2048"), .region = {}});
  EXPECT_EQ(rsa->public_key(job_).error().setting, "SIGNING_KEY");
  const auto gone =
      make_kms_signer(api(), {.id = "00000000-0000-0000-0000-000000000000", .region = {}});
  const auto missing = gone->sign(job_, "message");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("KMS Sign"), std::string::npos) << missing.error().message;
}

}  // namespace
}  // namespace builder::adapters::ecr
