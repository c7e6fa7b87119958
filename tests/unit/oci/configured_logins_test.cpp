#include "adapters/oci/configured_logins.hpp"

#include "base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::oci {
namespace {

using testing::HasSubstr;

class Own final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext&, const std::string& host) override {
    if (away) {
      return failure(ErrorKind::unavailable, "no token");
    }
    return host == "own.example.com" ? token : nullptr;
  }

  void renew(const std::string&, const ports::SharedLogin&) override { ++renewals; }

  bool away = false;
  int renewals = 0;
  ports::SharedLogin token = std::make_shared<ports::RegistryLogin>(
      ports::RegistryLogin{.username = "AWS", .password = Secret("t")});
};

TEST(Auths, AreReadAsDockerWritesThem) {
  const auto table =
      parse_auths(R"({"auths":{"ghcr.io":{"auth":")" + base64_encode("me:p:w") +
                  R"("},"https://index.docker.io/v1/":{"username":"u","password":"x"},
         "http://127.0.0.1:5000":{"auth":"YTpi","email":"e"}},"credsStore":"pass"})");
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->size(), 3U);
  EXPECT_EQ(table->at("ghcr.io").username, "me");
  EXPECT_EQ(table->at("ghcr.io").password.reveal(), "p:w");
  EXPECT_EQ(table->at("registry-1.docker.io").username, "u");
  EXPECT_EQ(table->at("127.0.0.1:5000").password.reveal(), "b");
  EXPECT_TRUE(parse_auths(R"({"auths":{}})")->empty());
}

TEST(Auths, WhatCannotBeUsedIsNamedWithoutItsSecret) {
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {"", "no JSON"},
           {"[]", "no JSON object"},
           {"{}", "'auths'"},
           {R"({"auths":[]})", "'auths'"},
           {R"({"auths":{"ghcr.io":7}})", "ghcr.io"},
           {R"({"auths":{"ghcr.io":{}}})", "helpers"},
           {R"({"auths":{"ghcr.io":{"auth":"%%%"}}})", "base64"},
           {R"({"auths":{"ghcr.io":{"auth":"c2VjcmV0"}}})", "base64"},
           {R"({"auths":{"x.azurecr.io":{"auth":"YTpi","identitytoken":"secret"}}})", "tokens"}}) {
    const auto table = parse_auths(text);
    ASSERT_FALSE(table) << text;
    EXPECT_EQ(table.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(table.error().message, HasSubstr(words)) << text;
    EXPECT_THAT(table.error().message, testing::Not(HasSubstr("secret")));
  }
}

TEST(ConfiguredLogins, TheOwnRegistryComesFirstAndTheOthersDoNotNeedIt) {
  Own own;
  LoginTable table;
  table["own.example.com"] = {.username = "stale", .password = Secret("x")};
  table["ghcr.io"] = {.username = "me", .password = Secret("x")};
  ConfiguredLogins logins(own, std::move(table));
  const ports::JobContext job{.deployment_id = domain::DeploymentId("d"), .stop = {}};
  EXPECT_EQ((*logins.login(job, "own.example.com"))->username, "AWS");
  EXPECT_EQ((*logins.login(job, "ghcr.io"))->username, "me");
  EXPECT_EQ(*logins.login(job, "elsewhere.io"), nullptr);
  own.away = true;
  EXPECT_EQ((*logins.login(job, "ghcr.io"))->username, "me");
  EXPECT_FALSE(logins.login(job, "elsewhere.io"));
  logins.renew("own.example.com", own.token);
  EXPECT_EQ(own.renewals, 1);
}

}  // namespace
}  // namespace builder::adapters::oci
