#include "app/config.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace builder::app {
namespace {

using Values = std::map<std::string, std::string, std::less<>>;

LoadedConfig load(Values values, std::string_view dotenv = "") {
  values.try_emplace("API_KEY", "key");
  return load_config(
      [&](std::string_view name) -> std::optional<std::string> {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional(found->second);
      },
      dotenv);
}

const EffectiveSetting& setting(const LoadedConfig& loaded, std::string_view name) {
  return *std::ranges::find(loaded.settings, name, &EffectiveSetting::name);
}

TEST(Config, DefaultsAreTheContracts) {
  const Config config = load({}).config;
  EXPECT_EQ(config.redis_host, "localhost");
  EXPECT_EQ(config.redis_port, 6379);
  EXPECT_EQ(config.redis_queue, "builder-queue");
  EXPECT_EQ(config.redis_cancel_channel, "builder:cancel");
  EXPECT_EQ(config.aws_region, "us-east-1");
  EXPECT_EQ(config.api_url, "http://127.0.0.1:3000/api");
  EXPECT_EQ(config.github_url, "https://github.com");
  EXPECT_EQ(config.ecr_keep_images, 1);
  EXPECT_EQ(config.log_level, LogLevel::info);
  EXPECT_TRUE(config.http_listen.empty());
}

TEST(Config, TheEnvironmentWinsOverTheFile) {
  const auto loaded = load({{"REDIS_HOST", "env"}, {"AWS_REGION", ""}},
                           "REDIS_HOST=file\n# comment\nexport AWS_REGION='eu-west-1'\n"
                           "WORK_DIR = \"/x y\"  # tail\n");
  EXPECT_EQ(loaded.config.redis_host, "env");
  EXPECT_EQ(setting(loaded, "REDIS_HOST").origin, "environment");
  EXPECT_EQ(loaded.config.aws_region, "eu-west-1");
  EXPECT_EQ(setting(loaded, "AWS_REGION").origin, ".env");
  EXPECT_EQ(loaded.config.work_dir, "/x y");
  EXPECT_EQ(setting(loaded, "REDIS_PORT").origin, "default");
}

TEST(Config, AllErrorsComeAtOnceAndNameTheirVariable) {
  const auto loaded = load({{"API_KEY", ""},
                            {"REDIS_PORT", "70000"},
                            {"API_URL", "ftp://x"},
                            {"BUILD_TIMEOUT", "soon"},
                            {"GIT_NETWORK_POLICY", "all"},
                            {"AWS_ACCESS_KEY_ID", "AKIA"},
                            {"HTTP_LISTEN", "nine"},
                            {"DOCKER_HOST", "ssh://x"}});
  ASSERT_EQ(loaded.errors.size(), 8u);
  std::string all;
  for (const std::string& error : loaded.errors) {
    all += error + "\n";
  }
  for (const char* name :
       {"API_KEY", "REDIS_PORT", "API_URL", "BUILD_TIMEOUT", "GIT_NETWORK_POLICY",
        "AWS_SECRET_ACCESS_KEY", "HTTP_LISTEN", "DOCKER_HOST"}) {
    EXPECT_TRUE(all.contains(name)) << name << " is missing in\n" << all;
  }
}

TEST(Config, SecretsAreStarred) {
  const auto loaded = load({{"REDIS_PASSWORD", "hunter22"}, {"API_KEY", "topsecret"}});
  EXPECT_EQ(loaded.config.redis_password.reveal(), "hunter22");
  EXPECT_EQ(setting(loaded, "REDIS_PASSWORD").value, "********");
  EXPECT_EQ(setting(loaded, "AWS_SESSION_TOKEN").value, "");
}

TEST(Config, TimesTakeUnits) {
  EXPECT_EQ(load({{"BUILD_TIMEOUT", "90"}}).config.build_timeout.count(), 90);
  EXPECT_EQ(load({{"BUILD_TIMEOUT", "2h"}}).config.build_timeout.count(), 7200);
  EXPECT_EQ(load({{"DRAIN_TIMEOUT", "0"}}).config.drain_timeout.count(), 0);
  EXPECT_FALSE(load({{"BUILD_TIMEOUT", "0"}}).errors.empty());
  EXPECT_FALSE(load({{"BUILD_TIMEOUT", "-5"}}).errors.empty());
  EXPECT_FALSE(load({{"BUILD_TIMEOUT", "99999999999999999999"}}).errors.empty());
}

TEST(Config, TheMoreSpecificEndpointWins) {
  EXPECT_EQ(load({{"AWS_ENDPOINT_URL", "http://a"}}).config.ecr_endpoint, "http://a");
  EXPECT_EQ(load({{"AWS_ENDPOINT_URL", "http://a"}, {"AWS_ENDPOINT_URL_ECR", "http://b/"}})
                .config.ecr_endpoint,
            "http://b");
}

TEST(Config, CredentialsInAnAddressAreRefused) {
  EXPECT_FALSE(load({{"API_URL", "http://user:password@host/api"}}).errors.empty());
}

}  // namespace
}  // namespace builder::app
