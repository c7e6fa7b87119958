#include "adapters/ecr/credentials.hpp"

#include "adapters/ecr/profiles.hpp"
#include "base/temp_dir.hpp"
#include "fakes/fake_steps.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

namespace builder::adapters::ecr {
namespace {

/// STS, the container's endpoint and the instance's: hands out keys by the URL that is asked.
class FakeAws final : public http::Client {
 public:
  Result<http::Response> send(const http::Request& request, const std::stop_token&,
                              SteadyTime) override {
    asked.push_back(request.url + " " + request.body);
    for (const http::Header& header : request.headers) {
      if (header.name == "Authorization") {
        asked.back() += " " + header.value;
      }
    }
    if (request.url.starts_with("https://sts.")) {
      return http::Response{.status = status,
                            .headers = {},
                            .body = status == 200
                                        ? "<AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>s"
                                          "</SecretAccessKey><SessionToken>t</SessionToken>"
                                          "<Expiration>2099-01-01T00:00:00Z</Expiration>"
                                        : "<Error><Code>AccessDenied</Code></Error>"};
    }
    if (request.url.ends_with("/latest/api/token")) {
      return http::Response{.status = 200, .headers = {}, .body = "token"};
    }
    if (request.url.ends_with("security-credentials/")) {
      return http::Response{.status = 200, .headers = {}, .body = "builder"};
    }
    return http::Response{
        .status = 200,
        .headers = {},
        .body = std::string(R"({"AccessKeyId":")") +
                (request.url.contains("169.254.170.2") ? "CONTAINER" : "INSTANCE") +
                R"(","SecretAccessKey":"s","Token":"t"})"};
  }

  [[nodiscard]] http::FailureCounts failures() const override { return {}; }

  int status = 200;
  std::vector<std::string> asked;
};

class CredentialsTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() + "/" + name + ".new") << text;
    std::rename((folder_.path() + "/" + name + ".new").c_str(),
                (folder_.path() + "/" + name).c_str());
  }

  [[nodiscard]] CredentialSettings settings() const {
    CredentialSettings settings{
        .endpoints = {.region = "eu-west-1"},
        .access_key_id = id_,
        .secret_access_key = Secret(id_.empty() ? "" : "secret"),
        .session_token = {},
        .environment =
            [this](std::string_view name) {
              const auto found = variables_.find(name);
              return found == variables_.end() ? std::nullopt : std::optional(found->second);
            },
        .private_variables = private_variables_};
    return settings;
  }

  /// "source: key" or "source: setting: error".
  std::string got() {
    const auto source = make_credentials(settings(), aws_, fakes::null_log());
    return got(*source);
  }

  static std::string got(CredentialSource& source) {
    const auto keys = source.get({}, std::chrono::steady_clock::now() + std::chrono::seconds(10));
    return source.name() + ": " +
           (keys ? (*keys)->key.access_key_id : source.setting() + ": " + keys.error().message);
  }

  TempDir folder_ = TempDir::make("/tmp", "credentials-").value();
  std::string id_;
  std::set<std::string, std::less<>> private_variables_;
  std::map<std::string, std::string, std::less<>> variables_{
      {"AWS_SHARED_CREDENTIALS_FILE", folder_.path() + "/credentials"},
      {"AWS_CONFIG_FILE", folder_.path() + "/config"}};
  FakeAws aws_;
};

TEST_F(CredentialsTest, TheFirstThatIsConfiguredIsUsed) {
  EXPECT_EQ(got(), "instance metadata: INSTANCE");
  variables_["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/x";
  EXPECT_EQ(got(), "container: CONTAINER");
  write("credentials",
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
        "[other]\naws_access_key_id=OTHER\naws_secret_access_key=s\n");
  EXPECT_EQ(got(), "profile default: DEFAULT");
  write("token", "jwt\n");
  variables_["AWS_WEB_IDENTITY_TOKEN_FILE"] = folder_.path() + "/token";
  variables_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/r";
  EXPECT_EQ(got(), "web identity: ROLE");
  EXPECT_TRUE(aws_.asked.back().ends_with("&WebIdentityToken=jwt")) << aws_.asked.back();
  variables_["AWS_PROFILE"] = "other";
  EXPECT_EQ(got(), "profile other: OTHER");
  id_ = "ENVIRONMENT";
  EXPECT_EQ(got(), "environment: ENVIRONMENT");
}

TEST_F(CredentialsTest, AFileWithARegionAloneIsNoSource) {
  write("config", "[default]\nregion = eu-west-3\n");
  EXPECT_EQ(got(), "instance metadata: INSTANCE");
  EXPECT_EQ(profile_region(settings().environment), "eu-west-3");
}

TEST_F(CredentialsTest, WhatAProfileSays) {
  write("credentials", "[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n");
  write("token", "jwt");

  const struct {
    const char* text;
    const char* expected;
  } cases[] = {
      {"aws_access_key_id=P\naws_secret_access_key=s", "P"},
      {"role_arn=arn:r\nsource_profile=base", "ROLE"},
      {"role_arn=arn:r\ncredential_source=Environment",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' takes its keys from "
       "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which are not set"},
      {"role_arn=arn:r\ncredential_source=EcsContainer", "ROLE"},
      {"role_arn=arn:r\ncredential_source=Ec2InstanceMetadata", "ROLE"},
      {"role_arn=arn:r\nweb_identity_token_file=TOKEN", "ROLE"},
      {"role_arn=arn:r\nsource_profile=p\naws_access_key_id=P\naws_secret_access_key=s", "ROLE"},
      {"credential_process=sh -c \"echo '{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"PROC\\\","
       "\\\"SecretAccessKey\\\":\\\"s\\\"}'\"",
       "PROC"},
      {"credential_process=sh -c 'echo no >&2; exit 3'",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' credential_process ended with 3: no"},
      {"credential_process=echo hello",
       "AWS_PROFILE: AWS credentials (profile p): credential_process does not print JSON with "
       "Version 1"},
      {"credential_process=sh 'x",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' credential_process: a quote is not "
       "closed"},
      {"role_arn=arn:r",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' has a role_arn and must name either "
       "source_profile or credential_source"},
      {"role_arn=arn:r\nsource_profile=typo",
       "AWS_PROFILE: AWS credentials (profile p): profile 'typo' is neither in FOLDER/credentials "
       "nor in FOLDER/config"},
      {"role_arn=arn:r\nsource_profile=p",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' leads back to itself "
       "(source_profile)"},
      {"role_arn=arn:r\nsource_profile=base\nmfa_serial=arn:mfa",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' asks for a code of a person "
       "(mfa_serial), which a service has not"},
      {"sso_session=x\nsso_account_id=1",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' signs in with a browser "
       "(sso_session), which a service cannot: use keys, a role or credential_process"},
      {"region=eu-west-1",
       "AWS_PROFILE: AWS credentials (profile p): profile 'p' holds no credentials (keys, role_arn "
       "or credential_process)"},
  };

  variables_["AWS_PROFILE"] = "p";
  variables_["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/x";
  const auto replace = [](std::string text, const std::string& from, const std::string& to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
    return text;
  };
  for (const auto& one : cases) {
    write("config", "[profile p]\n" + replace(one.text, "TOKEN", folder_.path() + "/token") + "\n");
    EXPECT_EQ(got(), "profile p: " + replace(one.expected, "FOLDER", folder_.path())) << one.text;
  }
  variables_["AWS_PROFILE"] = "typo";
  EXPECT_EQ(got(),
            "profile typo: AWS_PROFILE: AWS credentials (profile typo): profile 'typo' is "
            "neither in " +
                folder_.path() + "/credentials nor in " + folder_.path() + "/config");
}

TEST_F(CredentialsTest, AProcessDoesNotGetTheSecretsOfOtherPeers) {
  write("config",
        "[profile p]\ncredential_process=sh -c 'echo \"{\\\"Version\\\":1,\\\"AccessKeyId\\\":"
        "\\\"got:$T_PRIVATE:$T_OTHER\\\",\\\"SecretAccessKey\\\":\\\"s\\\"}\"'\n");
  variables_["AWS_PROFILE"] = "p";
  private_variables_ = {"T_PRIVATE"};
  ::setenv("T_PRIVATE", "platform-key", 1);
  ::setenv("T_OTHER", "needed", 1);
  EXPECT_EQ(got(), "profile p: got::needed");
  ::unsetenv("T_PRIVATE");
  ::unsetenv("T_OTHER");
}

TEST_F(CredentialsTest, ARoleIsTakenOnWithTheKeysOfItsSource) {
  write("credentials", "[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n");
  write("config",
        "[profile p]\nrole_arn = arn:r\nsource_profile = base\nexternal_id = e/1\n"
        "role_session_name = me\nduration_seconds = 900\n");
  variables_["AWS_PROFILE"] = "p";
  EXPECT_EQ(got(), "profile p: ROLE");
  const std::string& asked = aws_.asked.back();
  EXPECT_TRUE(asked.starts_with("https://sts.eu-west-1.amazonaws.com/ Action=AssumeRole&"))
      << asked;
  EXPECT_TRUE(asked.contains("RoleSessionName=me&DurationSeconds=900&ExternalId=e%2F1")) << asked;
  EXPECT_TRUE(asked.contains("Credential=BASE/")) << asked;
  EXPECT_TRUE(asked.contains("/eu-west-1/sts/aws4_request")) << asked;
  aws_.status = 403;
  EXPECT_EQ(got(),
            "profile p: AWS_PROFILE: AWS credentials (profile p): STS answered 403 "
            "AccessDenied");
}

TEST_F(CredentialsTest, AFileThatChangesIsReadAgain) {
  write("credentials", "[default]\naws_access_key_id=ONE\naws_secret_access_key=s\n");
  const auto source = make_credentials(settings(), aws_, fakes::null_log());
  EXPECT_EQ(got(*source), "profile default: ONE");
  write("credentials", "[default]\naws_access_key_id=TWO\naws_secret_access_key=s\n");
  EXPECT_EQ(got(*source), "profile default: TWO");
  write("credentials", "[default]\naws_access_key_id=");
  EXPECT_EQ(got(*source).substr(0, 20), "profile default: TWO") << "half-written";
}

TEST_F(CredentialsTest, ASourceThatAppearsLaterIsUsed) {
  variables_["AWS_EC2_METADATA_DISABLED"] = "true";
  const auto source = make_credentials(settings(), aws_, fakes::null_log());
  EXPECT_TRUE(got(*source).starts_with("none: AWS_ACCESS_KEY_ID: ")) << got(*source);
  write("credentials", "[default]\naws_access_key_id=LATE\naws_secret_access_key=s\n");
  EXPECT_EQ(got(*source), "profile default: LATE");
}

TEST(Profiles, AreReadAsTheToolsOfAwsDo) {
  const auto config = parse_profiles(
      "# c\n[default]\nregion = a\n; c\n[profile two]\nRegion=b\ns3 =\n  region = x\n"
      "[sso-session two]\nregion = y\n[profile \"three\"]\r\nregion = c\r\n[two]\nregion = z\n",
      true);
  EXPECT_EQ(config.at("default").at("region"), "a");
  EXPECT_EQ(config.at("two").at("region"), "b");
  EXPECT_EQ(config.at("three").at("region"), "c");
  EXPECT_EQ(config.size(), 3u);
  EXPECT_EQ(parse_profiles("[two]\nregion = z\n", false).at("two").at("region"), "z");
}

}  // namespace
}  // namespace builder::adapters::ecr
