#include "adapters/ecr/api_errors.hpp"
#include "adapters/ecr/credential_answers.hpp"
#include "adapters/ecr/credential_sources.hpp"
#include "adapters/ecr/endpoints.hpp"
#include "adapters/ecr/lifecycle_policy.hpp"
#include "adapters/ecr/repository_name.hpp"
#include "adapters/ecr/sigv4.hpp"
#include "ports/registry.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace builder::adapters::ecr {
namespace {

std::string authorization(const SignableRequest& request, const SigningKey& key) {
  // 2015-08-30T12:36:00Z, the time of AWS's published vectors.
  const auto when = std::chrono::system_clock::from_time_t(1'440'938'160);
  for (const http::Header& header : sign(request, key, "us-east-1", "service", when)) {
    if (header.name == "Authorization") {
      return header.value;
    }
  }
  return {};
}

const SigningKey k_key{"AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), Secret()};

// Of AWS's Signature Version 4 test suite, by the names it gives them.
TEST(SigV4, AgreesWithThePublishedVectors) {
  const http::Header host{"Host", "example.amazonaws.com"};

  const struct {
    const char* name;
    SignableRequest request;
    const char* signature;
  } vectors[] = {
      {"get-vanilla",
       {.method = "GET", .headers = {host}, .body = ""},
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"post-vanilla",
       {.method = "POST", .headers = {host}, .body = ""},
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"get-vanilla-query-order-key-case",
       {.method = "GET",
        .query = {{"Param2", "value2"}, {"Param1", "value1"}},
        .headers = {host},
        .body = ""},
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-header-key-duplicate",
       {.method = "GET",
        .headers =
            {host, {"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
        .body = ""},
       "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"get-header-value-order",
       {.method = "GET",
        .headers = {host,
                    {"My-Header1", "value4"},
                    {"My-Header1", "value1"},
                    {"My-Header1", "value3"},
                    {"My-Header1", "value2"}},
        .body = ""},
       "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
      {"get-header-value-trim",
       {.method = "GET",
        .headers = {host, {"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
        .body = ""},
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"post-x-www-form-urlencoded",
       {.method = "POST",
        .headers = {host, {"Content-Type", "application/x-www-form-urlencoded"}},
        .body = "Param1=value1"},
       "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
  };

  for (const auto& vector : vectors) {
    const std::string value = authorization(vector.request, k_key);
    EXPECT_TRUE(
        value.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/"
                          "service/aws4_request, SignedHeaders="))
        << vector.name;
    EXPECT_TRUE(value.ends_with(std::string("Signature=") + vector.signature))
        << vector.name << ": " << value;
  }
}

TEST(SigV4, SignsTheTokenOfTemporaryKeys) {
  SigningKey key = k_key;
  key.session_token = Secret("token");
  EXPECT_TRUE(authorization({.method = "POST", .headers = {{"Host", "h"}}, .body = "{}"}, key)
                  .contains("SignedHeaders=host;x-amz-date;x-amz-security-token"));
}

TEST(LifecyclePolicy, OursIsKnownAndAnOperatorsIsLeftAlone) {
  EXPECT_EQ(judge_policy(lifecycle_policy({.images = 3}), {.images = 3}), PolicyJudgement::current);
  EXPECT_EQ(judge_policy(lifecycle_policy({.images = 3}), {.images = 5}),
            PolicyJudgement::outdated);
  const char* original =
      R"({"rules":[{"rulePriority":1,"description":"Keep only 1 image","selection":{"tagStatus":"any",)"
      R"("countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]})";
  EXPECT_EQ(judge_policy(original, {.images = 1}), PolicyJudgement::current);
  EXPECT_EQ(judge_policy(original, {.images = 4}), PolicyJudgement::outdated);
  for (const char* other :
       {"", "not json", "{}", R"({"rules":[]})", R"({"rules":[{"description":"mine"}]})",
        R"({"rules":[{"rulePriority":1,"description":"Keep two","selection":{"tagStatus":"any",)"
        R"("countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]})"}) {
    EXPECT_EQ(judge_policy(other, {.images = 1}), PolicyJudgement::operators) << other;
  }
  EXPECT_GE(lifecycle_policy({.images = 1}).size(), 100u) << "ECR refuses shorter texts";

  // With papers beside the images.
  const Retention beside{.images = 3, .tagged_only = true};
  EXPECT_EQ(judge_policy(lifecycle_policy(beside), beside), PolicyJudgement::current);
  EXPECT_EQ(judge_policy(lifecycle_policy(beside), {.images = 3}), PolicyJudgement::outdated);
  EXPECT_EQ(judge_policy(lifecycle_policy({.images = 3}), beside), PolicyJudgement::outdated);
  EXPECT_EQ(judge_policy(original, {.images = 1, .tagged_only = true}), PolicyJudgement::outdated);
  const auto rule = nlohmann::json::parse(lifecycle_policy(beside))["rules"][0]["selection"];
  EXPECT_EQ(rule["tagStatus"], "tagged");
  EXPECT_EQ(rule["tagPatternList"], nlohmann::json::array({"*"}));
}

TEST(RepositoryName, IsThePlatformsAndValid) {
  EXPECT_EQ(repository_name(domain::ServiceId("s0example")).value(), "deployra/s0example");
  for (const char* bad : {"", "A", "a//b", "-a", "a-", "/a", "a/"}) {
    EXPECT_FALSE(is_repository_name(bad)) << bad;
  }
  const ports::Repository repository{"1.dkr.ecr.us-east-1.amazonaws.com/deployra/x"};
  EXPECT_EQ(repository.path(), "deployra/x");
  EXPECT_EQ(repository.host(), "1.dkr.ecr.us-east-1.amazonaws.com");
}

// As AWS's endpoint rules have them.
TEST(Endpoints, AreThoseOfThePartitionAndTheKind) {
  const struct {
    const char* region;
    bool fips;
    bool dual_stack;
    const char* ecr;
    const char* sts;
  } cases[] = {
      {"eu-west-1", false, false, "api.ecr.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"},
      {"us-east-1", true, false, "api.ecr-fips.us-east-1.amazonaws.com",
       "sts-fips.us-east-1.amazonaws.com"},
      {"us-east-1", false, true, "ecr.us-east-1.api.aws", "sts.us-east-1.api.aws"},
      {"us-east-1", true, true, "ecr-fips.us-east-1.api.aws", "sts-fips.us-east-1.api.aws"},
      {"us-gov-west-1", false, false, "api.ecr.us-gov-west-1.amazonaws.com",
       "sts.us-gov-west-1.amazonaws.com"},
      {"us-gov-west-1", true, false, "api.ecr-fips.us-gov-west-1.amazonaws.com",
       "sts-fips.us-gov-west-1.amazonaws.com"},
      {"cn-north-1", false, false, "api.ecr.cn-north-1.amazonaws.com.cn",
       "sts.cn-north-1.amazonaws.com.cn"},
      {"cn-north-1", false, true, "ecr.cn-north-1.api.amazonwebservices.com.cn",
       "sts.cn-north-1.api.amazonwebservices.com.cn"},
      {"eusc-de-east-1", false, false, "api.ecr.eusc-de-east-1.amazonaws.eu",
       "sts.eusc-de-east-1.amazonaws.eu"},
  };

  for (const auto& one : cases) {
    const EndpointChoice choice{
        .region = one.region, .fips = one.fips, .dual_stack = one.dual_stack};
    EXPECT_EQ(api_endpoint("", choice), std::string("https://") + one.ecr);
    EXPECT_EQ(sts_endpoint("", choice), std::string("https://") + one.sts);
    EXPECT_EQ(api_endpoint("http://127.0.0.1:1", choice), "http://127.0.0.1:1");
  }
  EXPECT_EQ(host_header("https://a:443/"), "a");
  EXPECT_EQ(host_header("http://a:8080/x"), "a:8080");
}

TEST(ApiErrors, DecideByCodeAndNotByStatus) {
  EXPECT_EQ(remedy_for("ThrottlingException", 400), Remedy::slow_down);
  EXPECT_EQ(remedy_for("ServerException", 500), Remedy::retry);
  EXPECT_EQ(remedy_for("ExpiredTokenException", 400), Remedy::renew_credentials);
  EXPECT_EQ(remedy_for("AccessDeniedException", 400), Remedy::none);
  EXPECT_EQ(kind_for("AccessDeniedException", 400), ErrorKind::denied);
}

TEST(ApiErrors, A400WithoutACodeIsNoAnswerOfAws) {
  http::Response garbled{.status = 400, .headers = {}, .body = "\x8f\x02garbage"};
  EXPECT_EQ(remedy_for(error_code(garbled), 400), Remedy::retry);
  EXPECT_EQ(kind_for(error_code(garbled), 400), ErrorKind::unavailable);
}

TEST(Credentials, ContainerCredentialsComeOnlyFromWhereNobodyListensIn) {
  EXPECT_TRUE(is_allowed_container_uri("http://169.254.170.2/v2/x"));
  EXPECT_TRUE(is_allowed_container_uri("http://127.0.0.1:80/x"));
  EXPECT_TRUE(is_allowed_container_uri("https://example.test/x"));
  EXPECT_FALSE(is_allowed_container_uri("http://example.test/x"));
  EXPECT_FALSE(is_allowed_container_uri("http://127.0.0.1.example.test/x"));
}

}  // namespace
}  // namespace builder::adapters::ecr
