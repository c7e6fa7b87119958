// What the client makes of answers that are not the registry's, on a real wire.
#include "adapters/oci/client.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/loopback_server.hpp"
#include "fakes/no_logins.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::oci {
namespace {

using fakes::http_answer;
using fakes::LoopbackServer;
using fakes::Stranger;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string k_json = "Content-Type: application/json\r\n";
const std::string k_version = "Docker-Distribution-Api-Version: registry/2.0\r\n";
const std::string k_unknown =
    R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})";

class Wire : public testing::Test {
 protected:
  Client& client(LoopbackServer::Handler answer) {
    server.emplace(std::move(answer));
    reference.host = server->host();
    made = make_client(
        {.attempts = 2,
         .backoff = {.base = std::chrono::milliseconds(1), .cap = std::chrono::milliseconds(2)}},
        *http, logins, fakes::null_log());
    return *made;
  }

  fakes::NoLogins logins;
  std::unique_ptr<http::Client> http = http::make_client();
  std::optional<LoopbackServer> server;
  std::unique_ptr<Client> made;
  Reference reference{.host = {}, .repository = "deployra/s", .tag = "t", .digest = {}};
  ports::JobContext job{.deployment_id = domain::DeploymentId("d"),
                        .stop = {},
                        .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1)};
};

class StrangerTest : public Wire, public testing::WithParamInterface<Stranger> {
 protected:
  static void expect_stranger(const Error& error) {
    EXPECT_EQ(error.kind, ErrorKind::unavailable) << error.message;
    EXPECT_EQ(error.setting, "AWS_REGION") << error.message;
    EXPECT_TRUE(error.message.contains("something that is not the registry answered") ||
                error.message.contains(", a redirect to "))
        << error.message;
    EXPECT_THAT(error.message, HasSubstr(GetParam().shown));
    EXPECT_FALSE(error.message.contains("back=x")) << error.message;
  }
};

TEST_P(StrangerTest, IsNotTheRegistryHoweverItIsAsked) {
  Client& asked = client([](const std::string&) { return GetParam().answer; });
  expect_stranger(asked.ping(job, reference.host).error());
  expect_stranger(asked.manifest(job, reference).error());
  expect_stranger(asked.head(job, reference).error());
  expect_stranger(asked.image(job, reference).error());
  expect_stranger(
      asked
          .put(job, reference,
               {.bytes = "{}", .media_type = "m/t", .digest = "sha256:" + std::string(64, '0')})
          .error());
  expect_stranger(asked.blob(job, reference, "sha256:" + std::string(64, '0'), 1000).error());
}

TEST_P(StrangerTest, IsNoTokenService) {
  std::string realm;
  Client& asked = client([&realm](const std::string& request) {
    return request.contains("/token")
               ? GetParam().answer
               : http_answer(
                     401, "WWW-Authenticate: Bearer realm=\"" + realm + "\",service=\"s\"\r\n", "");
  });
  realm = "http://" + reference.host + "/token";
  const Error error = asked.manifest(job, reference).error();
  // 401 is what a token service says to a login, whoever it is; a page does not.
  EXPECT_EQ(error.kind, ErrorKind::unavailable) << error.message;
  EXPECT_EQ(error.setting, "AWS_REGION");
  EXPECT_THAT(error.message, HasSubstr("something that is not the token service answered"));
  EXPECT_THAT(error.message, HasSubstr(GetParam().shown));
}

INSTANTIATE_TEST_SUITE_P(Of, StrangerTest, testing::ValuesIn(fakes::strangers()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(Wire, TheRegistrysOwn404IsNotFound) {
  Client& asked = client([](const std::string&) { return http_answer(404, k_json, k_unknown); });
  EXPECT_EQ(asked.manifest(job, reference).error().kind, ErrorKind::not_found);
  EXPECT_EQ(asked.manifest(job, reference).error().setting, "");
}

TEST_F(Wire, AHeadIsBelievedWithTheVersionOfARegistryAlone) {
  Client& asked =
      client([](const std::string&) { return http_answer(404, k_json + k_version, k_unknown); });
  EXPECT_EQ(asked.head(job, reference).error().kind, ErrorKind::not_found);
  EXPECT_THAT(server->requests(), ElementsAre("HEAD /v2/deployra/s/manifests/t"));
}

TEST_F(Wire, ADoubtfulAnswerToHeadIsAskedForItsWords) {
  Client& asked = client([](const std::string&) { return http_answer(404, k_json, k_unknown); });
  EXPECT_EQ(asked.head(job, reference).error().kind, ErrorKind::not_found);
  EXPECT_THAT(server->requests(),
              ElementsAre("HEAD /v2/deployra/s/manifests/t", "GET /v2/deployra/s/manifests/t"));
  // A wall that lets nothing but GET through.
  Client& walled = client([](const std::string& request) {
    return request.starts_with("HEAD") ? http_answer(405, "", "") : http_answer(200, "", "{}");
  });
  const auto found = walled.head(job, reference);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->digest,
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

TEST_F(Wire, ARegistrysDenialIsItsOwn) {
  Client& asked = client([](const std::string&) {
    return http_answer(403, k_json, R"({"errors":[{"code":"DENIED","message":"not yours"}]})");
  });
  const auto error = asked.head(job, reference).error();
  EXPECT_EQ(error.kind, ErrorKind::denied);
  EXPECT_EQ(error.setting, "");
  EXPECT_THAT(error.message, HasSubstr("DENIED: not yours"));
}

TEST_F(Wire, ABlobThatLiesElsewhereNamesWhoAnsweredThere) {
  std::string host;
  Client& asked = client([&host](const std::string& request) {
    return request.contains("/bucket")
               ? http_answer(403, "Content-Type: application/xml\r\n", "<Error>Expired</Error>")
               : http_answer(307, "Location: http://" + host + "/bucket?sig=secret\r\n", "");
  });
  host = reference.host;
  const auto error = asked.blob(job, reference, "sha256:" + std::string(64, '0'), 1000).error();
  EXPECT_EQ(error.kind, ErrorKind::unavailable);
  EXPECT_THAT(error.message, HasSubstr("sent on to http://" + host + "/bucket"));
  EXPECT_FALSE(error.message.contains("secret")) << error.message;
}

TEST_F(Wire, AStrangerThatGoesAwayHasDoneNothing) {
  std::atomic<int> asked_for = 0;
  Client& asked = client([&](const std::string&) {
    return ++asked_for == 1 ? http_answer(404, "", "404 page not found")
                            : http_answer(200, k_json, "{}");
  });
  EXPECT_TRUE(asked.manifest(job, reference));
}

}  // namespace
}  // namespace builder::adapters::oci
