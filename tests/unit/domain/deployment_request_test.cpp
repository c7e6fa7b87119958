#include "domain/deployment_request.hpp"

#include "domain/dockerignore.hpp"
#include "domain/request_secrets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace builder::domain {
namespace {

constexpr const char* k_full =
    R"({"deploymentId":"d0exampleexample0002","serviceId":"s0exampleexample0002",
 "commitSha":"0123456789abcdef0123456789abcdef01234567","branch":"feature/x","repositoryName":"team/app",
 "runtimeFilePath":"docker/Dockerfile",
 "gitProvider":{"type":"custom","url":"https://git.example.test/git","username":"us er@x","password":"p@ss:w/rd%"},
 "environmentVariables":[{"key":"QUOTES","value":"a \"b\" \u003c\u2028"},{"key":"EMPTY","value":""}],
 "ports":[{"servicePort":5000,"containerPort":5001}],"unknown":{"a":[1,2]}})";

TEST(ParseJob, ReadsEveryField) {
  const ParsedJob job = parse_job(k_full);
  ASSERT_TRUE(job.request) << job.request.error().message;
  EXPECT_EQ(job.request->deployment_id.str(), "d0exampleexample0002");
  EXPECT_EQ(job.request->branch, "feature/x");
  EXPECT_EQ(job.request->git_provider->type, GitProviderType::custom);
  EXPECT_EQ(job.request->git_provider->password.reveal(), "p@ss:w/rd%");
  EXPECT_EQ(job.request->environment.at(0).value, "a \"b\" <\u2028");
  EXPECT_EQ(job.request->ports.at(0).container_port, 5001);
}

TEST(ParseJob, NullEqualsAbsent) {
  const ParsedJob job = parse_job(R"({"deploymentId":"d1","serviceId":"s1","branch":null,
      "runtimeFilePath":null,"gitProvider":null,"environmentVariables":null,"ports":null})");
  ASSERT_TRUE(job.request) << job.request.error().message;
  EXPECT_FALSE(job.request->git_provider);
}

struct BadField {
  const char* json;
  const char* field;
};

class BadFieldTest : public testing::TestWithParam<BadField> {};

TEST_P(BadFieldTest, IsNamedInBothVoices) {
  const ParsedJob job =
      parse_job(std::string(R"({"deploymentId":"d1","serviceId":"s1",)") + GetParam().json + "}");
  ASSERT_FALSE(job.request);
  EXPECT_EQ(job.deployment_id, DeploymentId("d1"));
  EXPECT_EQ(job.request.error().kind, ErrorKind::invalid_input);
  EXPECT_TRUE(job.request.error().message.contains(GetParam().field))
      << job.request.error().message;
  EXPECT_TRUE(job.request.error().customer.contains(GetParam().field));
  EXPECT_LE(job.request.error().customer.size(), 191u);
}

INSTANTIATE_TEST_SUITE_P(
    Fields, BadFieldTest,
    testing::Values(
        BadField{R"("branch":7)", "branch"}, BadField{R"("commitSha":{})", "commitSha"},
        BadField{R"("repositoryName":[])", "repositoryName"},
        BadField{R"("runtimeFilePath":true)", "runtimeFilePath"},
        BadField{R"("gitProvider":"x")", "gitProvider"},
        BadField{R"("gitProvider":{"type":"SVN"})", "gitProvider.type"},
        BadField{R"("gitProvider":{})", "gitProvider.type"},
        BadField{R"("gitProvider":{"type":"GITHUB","githubAccount":5})", "githubAccount"},
        BadField{R"("environmentVariables":{})", "environmentVariables"},
        BadField{R"("environmentVariables":[1])", "environmentVariables"},
        BadField{R"("environmentVariables":[{"value":"x"}])", "environmentVariables.key"},
        BadField{R"("environmentVariables":[{"key":"a","value":1}])", "value"},
        BadField{R"("ports":[{"servicePort":0,"containerPort":1}])", "servicePort"},
        BadField{R"("ports":[{"servicePort":1,"containerPort":"80"}])", "containerPort"},
        BadField{R"("ports":[{"servicePort":1,"containerPort":65536}])", "containerPort"}));

/// Every field the platform sends, with one value of each JSON type in its place.
TEST(ParseJob, EveryFieldAbsentNullOfAWrongTypeOrHugeIsReadOrNamed) {
  using nlohmann::json;
  const json whole =
      json::parse(R"({"deploymentId":"d1","serviceId":"s1","commitSha":"","branch":"main",
      "repositoryName":"a/b","runtimeFilePath":"","environmentVariables":[{"key":"K","value":"v"}],
      "ports":[{"servicePort":80,"containerPort":3000}],"gitProvider":{"type":"CUSTOM","url":"https://h",
      "username":"u","password":"p","installationId":"1"}})");
  json github = whole;
  github["gitProvider"] = {{"type", "GITHUB"},
                           {"githubAccount", {{"username", "u"}, {"accessToken", "t"}}}};
  const json values[] = {nullptr,
                         true,
                         -1,
                         1.5,
                         "text",
                         json::array(),
                         json::object(),
                         json(std::string(300'000, 'x'))};

  const struct {
    const json& job;
    const char* field;
    bool required;
    json::value_t type;
  } table[] = {{whole, "/deploymentId", true, json::value_t::string},
               {whole, "/serviceId", true, json::value_t::string},
               {whole, "/commitSha", false, json::value_t::string},
               {whole, "/branch", false, json::value_t::string},
               {whole, "/repositoryName", false, json::value_t::string},
               {whole, "/runtimeFilePath", false, json::value_t::string},
               {whole, "/environmentVariables", false, json::value_t::array},
               {whole, "/environmentVariables/0", true, json::value_t::object},
               {whole, "/environmentVariables/0/key", true, json::value_t::string},
               {whole, "/environmentVariables/0/value", false, json::value_t::string},
               {whole, "/ports", false, json::value_t::array},
               {whole, "/ports/0", true, json::value_t::object},
               {whole, "/ports/0/servicePort", true, json::value_t::number_integer},
               {whole, "/ports/0/containerPort", true, json::value_t::number_integer},
               {whole, "/gitProvider", false, json::value_t::object},
               {whole, "/gitProvider/type", true, json::value_t::string},
               {whole, "/gitProvider/url", false, json::value_t::string},
               {whole, "/gitProvider/username", false, json::value_t::string},
               {whole, "/gitProvider/password", false, json::value_t::string},
               {github, "/gitProvider/githubAccount", false, json::value_t::object},
               {github, "/gitProvider/githubAccount/username", false, json::value_t::string},
               {github, "/gitProvider/githubAccount/accessToken", false, json::value_t::string}};

  ASSERT_TRUE(parse_job(whole.dump()).request);
  ASSERT_TRUE(parse_job(github.dump()).request);
  for (const auto& [job, field, required, type] : table) {
    const json::json_pointer pointer(field);
    std::string name = field;
    name = name.substr(name.rfind('/') + 1);
    if (name == "0") {
      name = std::string(field).substr(1, std::string(field).size() - 3);
    } else {
      json absent = job;
      absent[pointer.parent_pointer()].erase(name);
      EXPECT_EQ(static_cast<bool>(parse_job(absent.dump()).request), !required) << field;
    }
    for (const json& value : values) {
      if (name == "gitProvider" && value.is_object()) {
        continue;  // Needs its type.
      }
      json changed = job;
      changed[pointer] = value;
      const ParsedJob parsed = parse_job(changed.dump());
      const bool huge = value.is_string() && value.get_ref<const std::string&>().size() > 1'000;
      const std::string shown = std::string(field) + " = " + value.dump().substr(0, 20);
      if (value.is_null() ? !required : value.type() == type && !huge && !required) {
        EXPECT_TRUE(parsed.request) << shown << ": " << parsed.request.error().message;
        continue;
      }
      if (value.type() == type && !huge && parsed.request) {
        continue;  // A valid value of a required field, e.g. another id.
      }
      ASSERT_FALSE(parsed.request) << shown;
      EXPECT_TRUE(parsed.request.error().message.contains(name))
          << shown << ": " << parsed.request.error().message;
      EXPECT_TRUE(parsed.request.error().customer.contains(name)) << shown;
      EXPECT_LE(parsed.request.error().customer.size(), 191u) << shown;
      EXPECT_EQ(parsed.deployment_id.has_value(), name != "deploymentId") << shown;
    }
  }
}

TEST(ParseJob, MalformedIdentifiersAreNotUsed) {
  for (const char* id : {"../victim", "a?b", "a#b", "", "-a", "a b", "\\u0000"}) {
    const ParsedJob job =
        parse_job(std::string(R"({"serviceId":"s","deploymentId":")") + id + "\"}");
    EXPECT_FALSE(job.deployment_id) << id;
    EXPECT_FALSE(job.request);
  }
  for (const char* id : {"Upper", "a..b", "a/b", "-a", "a-", "a___b", ""}) {
    const ParsedJob job =
        parse_job(std::string(R"({"deploymentId":"d","serviceId":")") + id + "\"}");
    EXPECT_FALSE(job.service_id) << id;
    EXPECT_TRUE(job.deployment_id);
    EXPECT_FALSE(job.request);
  }
  for (const char* id : {"a", "a-b", "a--b", "a_b", "a__b", "a.b", "0"}) {
    EXPECT_TRUE(
        parse_job(std::string(R"({"deploymentId":"d","serviceId":")") + id + "\"}").service_id)
        << id;
  }
}

TEST(ParseJob, HostileInputIsRefusedWithoutHarm) {
  EXPECT_FALSE(parse_job("").request);
  EXPECT_FALSE(parse_job("[]").request);
  EXPECT_FALSE(parse_job("{\"deploymentId\":\"d\"").request);
  EXPECT_FALSE(parse_job(std::string(100'000, '[')).request);
  std::string deep = R"({"deploymentId":"d","serviceId":"s","x":)";
  deep += std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_FALSE(parse_job(deep).request);
  EXPECT_FALSE(
      parse_job("{\"deploymentId\":\"d\",\"serviceId\":\"s\",\"branch\":\"\xFF\"}").request);
  EXPECT_FALSE(parse_job(std::string(2u << 20, 'x')).request);
}

TEST(Dockerignore, TheDefaultKeepsSecretsAndHistoryOutButNotTheEnvironment) {
  const std::string text = "\n" + default_dockerignore();
  for (const char* line :
       {"\n.git\n", "\nnode_modules\n", "\ntests\n", "\n*.key\n", "\nDockerfile*\n"}) {
    EXPECT_TRUE(text.contains(line)) << line;
  }
  EXPECT_FALSE(text.contains("\n.env\n"));
}

std::vector<std::string> secret_values(const std::string& key, const std::string& value) {
  DeploymentRequest request;
  request.environment = {{key, value}};
  std::vector<std::string> values;
  for (const NamedSecret& secret : secrets_of(request)) {
    EXPECT_EQ(secret.name, "variable " + key);
    values.push_back(secret.value.reveal());
  }
  return values;
}

TEST(SecretsOf, WhatAnHonestLogPrintsIsNoSecret) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
           {"NODE_ENV", "production"},
           {"PORT", "3000"},
           {"APP_URL", "https://example.com"},
           {"AUTH_URL", "https://auth.example.com/login"},
           {"DB_NAME", "shop"},
           {"DB_HOST", "db.internal.example.com:5432"},
           {"DATA_DIR", "/var/lib/application/data"},
           {"APP_NAME", "my-shop-frontend"},
           {"AWS_REGION", "eu-central-1"},
           {"NODE_VERSION", "20.11.1"},
           {"BASE_IMAGE", "docker.io/library/node:20.11.1-alpine3.19"},
           {"DEBUG", "true"},
           {"MAIL_FROM", "no-reply@example.com"},
           {"STARTED", "2024-01-01T12:00:00Z"},
           {"TZ", "Europe/Zurich"},
           {"GOPRIVATE", "github.com/acme,git.example.com/*"},
           {"NEXT_PUBLIC_KEY", "pk_live_x7Kp2qLm9RtVw3Zn"}}) {
    EXPECT_EQ(secret_values(key, value), std::vector<std::string>()) << key;
  }
}

TEST(SecretsOf, EveryOtherValueIsOneWhateverItsName) {
  using Values = std::vector<std::string>;
  EXPECT_EQ(secret_values("API_TOKEN", "summer24"), (Values{"summer24"}));
  EXPECT_EQ(secret_values("JWT", "eyJhbGciOiJIUzI1NiJ9x7Kp2q"),
            (Values{"eyJhbGciOiJIUzI1NiJ9x7Kp2q"}));
  EXPECT_EQ(secret_values("SOMETHING", "x7Kp2qLm9R"), (Values{"x7Kp2qLm9R"}));
  EXPECT_THAT(
      secret_values("SLACK_WEBHOOK",
                    "https://hooks.slack.com/services/T024BE7LD/B7XK2/x7Kp2qLm9RtVw3ZnQ4y8"),
      testing::Contains("x7Kp2qLm9RtVw3ZnQ4y8"));
  EXPECT_EQ(secret_values("DATABASE_URL", "postgres://u:dbpass@h/x"), (Values{"dbpass"}));
  EXPECT_EQ(secret_values("DATABASE_URL", "postgres://u:db/pass@h/x"), (Values{"db/pass"}));
  EXPECT_EQ(secret_values("DATABASE_URL", "postgres://u:db%2Fpass@h/x"),
            (Values{"db%2Fpass", "db/pass"}));
  EXPECT_THAT(secret_values("SQL", "Server=db.example.com;User=shop;Password=winter2023;"),
              testing::Contains("winter2023"));
  EXPECT_THAT(secret_values("CONFIG", R"({"user":"shop","password":"winter2023"})"),
              testing::Contains("winter2023"));
}

}  // namespace
}  // namespace builder::domain
