#include "adapters/ecr/kms_signer.hpp"

#include "base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::ecr {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class FakeApi final : public Api {
 public:
  using Answer = std::expected<json, ApiError>;
  using Calls = std::vector<std::pair<std::string, json>>;

  FakeApi(Calls& calls, std::function<Answer(std::string_view)> answer)
      : calls_(calls), answer_(std::move(answer)) {}

  Answer call(std::string_view operation, const json& input, const std::stop_token&,
              SteadyTime) override {
    calls_.emplace_back(operation, input);
    return answer_(operation);
  }

 private:
  Calls& calls_;
  const std::function<Answer(std::string_view)> answer_;
};

const ports::JobContext k_job{.deployment_id = domain::DeploymentId("d"), .stop = {}};

class KmsSignerTest : public testing::Test {
 protected:
  std::unique_ptr<ports::Signer> signer(std::function<FakeApi::Answer(std::string_view)> answer) {
    return make_kms_signer(std::make_unique<FakeApi>(calls, std::move(answer)),
                           {.id = "alias/signing", .region = {}});
  }

  FakeApi::Calls calls;
};

TEST_F(KmsSignerTest, AsksForASignatureOfTheDigest) {
  const auto made = signer([](std::string_view operation) -> FakeApi::Answer {
    return operation == "Sign"
               ? json{{"KeyId", "arn"}, {"Signature", base64_encode("signature")}}
               : json{{"PublicKey", base64_encode("key")}, {"KeySpec", "ECC_NIST_P256"}};
  });
  EXPECT_EQ(*made->sign(k_job, "abc"), "signature");
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].first, "Sign");
  EXPECT_EQ(calls[0].second, (json{{"KeyId", "alias/signing"},
                                   {"Message", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="},
                                   {"MessageType", "DIGEST"},
                                   {"SigningAlgorithm", "ECDSA_SHA_256"}}));
  EXPECT_EQ(*made->public_key(k_job), "key");
  EXPECT_EQ(*made->public_key(k_job), "key");
  EXPECT_EQ(calls.size(), 2u) << "the key is asked for once";
}

TEST_F(KmsSignerTest, WhatIsWrongWithTheKeyIsTheOperators) {
  const auto wrong = signer([](std::string_view) -> FakeApi::Answer {
    return json{{"PublicKey", base64_encode("key")}, {"KeySpec", "RSA_2048"}};
  });
  EXPECT_THAT(wrong->public_key(k_job).error().message, HasSubstr("RSA_2048"));
  EXPECT_EQ(wrong->public_key(k_job).error().setting, "SIGNING_KEY");
  const auto empty =
      signer([](std::string_view) -> FakeApi::Answer { return json{{"Signature", 1}}; });
  EXPECT_EQ(empty->sign(k_job, "abc").error().setting, "SIGNING_KEY");
  const auto gone = signer([](std::string_view) -> FakeApi::Answer {
    return std::unexpected(
        ApiError{.error = {.kind = ErrorKind::not_found, .message = "no such key"}, .code = "x"});
  });
  EXPECT_EQ(gone->sign(k_job, "abc").error().setting, "SIGNING_KEY");
  const auto away = signer([](std::string_view) -> FakeApi::Answer {
    return std::unexpected(
        ApiError{.error = {.kind = ErrorKind::unavailable, .message = "away"}, .code = {}});
  });
  EXPECT_TRUE(away->sign(k_job, "abc").error().is_transient());
}

TEST(KmsKeyName, IsReadAsCosignWritesIt) {
  EXPECT_FALSE(*parse_kms_key("/etc/key.pem"));
  EXPECT_EQ((*parse_kms_key("awskms:///alias/signing"))->id, "alias/signing");
  const auto arn = *parse_kms_key("awskms:///arn:aws:kms:eu-west-1:123456789012:key/1234-ab");
  EXPECT_EQ(arn->id, "arn:aws:kms:eu-west-1:123456789012:key/1234-ab");
  EXPECT_EQ(arn->region, "eu-west-1");
  for (const std::string_view bad :
       {"awskms://", "awskms:///", "awskms://localhost/1", "awskms:///a b", "awskms:///a\n"}) {
    EXPECT_EQ(parse_kms_key(bad).error().kind, ErrorKind::invalid_input) << bad;
  }
}

}  // namespace
}  // namespace builder::adapters::ecr
