// What is made of answers that are not those of AWS, on a real wire: of ECR's API and of everything
// that hands out keys.
#include "adapters/ecr/api.hpp"
#include "adapters/ecr/credential_sources.hpp"
#include "adapters/ecr/credentials.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/loopback_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <map>

namespace builder::adapters::ecr {
namespace {

using fakes::http_answer;
using fakes::LoopbackServer;
using fakes::Stranger;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

class Wire : public testing::Test {
 protected:
  using Variables = std::map<std::string, std::string, std::less<>>;
  using Make = FetchCredentials (*)(const CredentialSettings& settings, http::Client& client);

  /// What one try ends with.
  Error no_keys(Make make, const Variables& variables) {
    const CredentialSettings settings{
        .endpoints = {.region = "eu-west-1"},
        .access_key_id = {},
        .secret_access_key = {},
        .session_token = {},
        .environment = [&variables](std::string_view name) {
          const auto found = variables.find(name);
          return found == variables.end() ? std::nullopt : std::optional(found->second);
        }};
    const auto keys = make(settings, *http_)({}, Clock::now() + std::chrono::seconds(10));
    return keys ? Error{.message = "it handed out keys"} : keys.error();
  }

  Error no_metadata() {
    return no_keys(&instance_metadata,
                   {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://" + server_->host()}});
  }

  static void expect_no_metadata(const Error& error, std::string_view shown) {
    expect_stranger(error, "the instance metadata service", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                    shown);
  }

  /// Asked once: the second time would be later than there is time for.
  static std::string with_wait(std::string answer) {
    return answer.insert(answer.find("\r\n") + 2, "Retry-After: 60\r\n");
  }

  Error of_api(const std::string& operation) {
    const auto credentials = make_credentials({.endpoints = {.region = "eu-west-1"},
                                               .access_key_id = "ID",
                                               .secret_access_key = Secret("secret"),
                                               .session_token = {},
                                               .environment = {}},
                                              *http_, fakes::null_log());
    const auto api = make_api({.endpoint = "http://" + server_->host(),
                               .endpoint_setting = "AWS_ENDPOINT_URL_ECR",
                               .region = "eu-west-1"},
                              *http_, *credentials, fakes::null_log());
    auto answer =
        api->call(operation, nlohmann::json::object(), {}, Clock::now() + std::chrono::seconds(10));
    return answer ? Error{.message = "it answered"} : answer.error().error;
  }

  static void expect_stranger(const Error& error, std::string_view who, std::string_view setting,
                              std::string_view shown) {
    EXPECT_EQ(error.kind, ErrorKind::unavailable) << error.message;
    EXPECT_EQ(error.setting, setting) << error.message;
    EXPECT_THAT(error.message, HasSubstr("answered something that is not " + std::string(who)));
    EXPECT_THAT(error.message, HasSubstr(std::string(shown)));
    EXPECT_FALSE(error.message.contains("back=x")) << error.message;
  }

  std::unique_ptr<http::Client> http_ = http::make_client();
  std::optional<LoopbackServer> server_;
};

class StrangerTest : public Wire, public testing::WithParamInterface<Stranger> {
 protected:
  StrangerTest() {
    server_.emplace([](const std::string&) { return with_wait(GetParam().answer); });
  }

  /// Without what is shown of a body: keys may be in it.
  static std::string shown() {
    const std::string_view whole = GetParam().shown;
    return std::string(whole.substr(0, whole.find(": <")));
  }
};

TEST_P(StrangerTest, IsNotTheApiOfEcr) {
  for (const char* operation : {"GetAuthorizationToken", "DescribeRepositories"}) {
    expect_stranger(of_api(operation), "ECR's API", "AWS_ENDPOINT_URL_ECR", GetParam().shown);
  }
}

TEST_P(StrangerTest, IsNoInstanceMetadata) {
  expect_no_metadata(no_metadata(), shown());
}

TEST_P(StrangerTest, IsNoCredentialEndpoint) {
  const Error error = no_keys(
      &container, {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://" + server_->host() + "/keys"}});
  if (GetParam().answer.contains("application/json")) {
    // That is how the agents of clusters word their errors.
    EXPECT_FALSE(error.message.contains("answered something that is not")) << error.message;
    EXPECT_THAT(error.message, HasSubstr("container")) << error.message;
    return;
  }
  expect_stranger(error, "the container's credential endpoint",
                  "AWS_CONTAINER_CREDENTIALS_FULL_URI", shown());
}

TEST_P(StrangerTest, IsNoSts) {
  std::ofstream(testing::TempDir() + "/web-identity") << "jwt";
  const auto make = [](const CredentialSettings& settings, http::Client& client) {
    return web_identity(settings, client,
                        {.arn = "arn:r", .token_file = testing::TempDir() + "/web-identity"});
  };
  expect_stranger(no_keys(make, {{"AWS_ENDPOINT_URL_STS", "http://" + server_->host()}}), "STS",
                  "AWS_ENDPOINT_URL_STS", shown());
}

INSTANTIATE_TEST_SUITE_P(Of, StrangerTest, testing::ValuesIn(fakes::strangers()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(Wire, AWrongKeyIsWhatAwsSaysItIs) {
  server_.emplace([](const std::string&) {
    return http_answer(400, "Content-Type: application/x-amz-json-1.1\r\n",
                       R"({"__type":"AccessDeniedException","message":"no"})");
  });
  const Error error = of_api("DescribeRepositories");
  EXPECT_EQ(error.kind, ErrorKind::denied);
  EXPECT_EQ(error.setting, "AWS_ACCESS_KEY_ID");
}

TEST_F(Wire, AnObjectOfAnotherProgramIsNoAnswerOfEcr) {
  server_.emplace(
      [](const std::string&) { return with_wait(http_answer(200, "", R"({"status":"ok"})")); });
  expect_stranger(of_api("GetAuthorizationToken"), "ECR's API", "AWS_ENDPOINT_URL_ECR", "200");
}

TEST_F(Wire, AnotherProgramsAnswersAreNotTheInstances) {
  // A token as anybody gives it, then pages.
  server_.emplace([](const std::string& request) {
    return request.starts_with("PUT") ? http_answer(200, "", "token")
                                      : http_answer(200, "Content-Type: text/html\r\n", "<p>");
  });
  expect_no_metadata(no_metadata(), "200 text/html");
  server_.emplace([](const std::string& request) {
    return http_answer(200, "", request.contains("/builder") ? R"({"x":1})" : "builder");
  });
  expect_no_metadata(no_metadata(), "200");
}

TEST_F(Wire, TheInstancesOwnWordsAreTold) {
  server_.emplace([](const std::string&) {
    return http_answer(403, "Server: EC2ws\r\nContent-Type: text/html\r\n", "<title>403</title>");
  });
  const Error refused = no_metadata();
  EXPECT_EQ(refused.kind, ErrorKind::denied);
  EXPECT_THAT(refused.message, HasSubstr("the instance metadata service answered 403"));
  server_.emplace([](const std::string& request) {
    return http_answer(200, "",
                       request.contains("/builder")
                           ? R"({"Code":"AssumeRoleUnauthorizedAccess","Message":"no"})"
                           : "builder");
  });
  EXPECT_THAT(no_metadata().message, HasSubstr("AssumeRoleUnauthorizedAccess"));
}

}  // namespace
}  // namespace builder::adapters::ecr
