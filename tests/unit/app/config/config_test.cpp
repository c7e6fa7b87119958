#include "app/config/config.hpp"

#include "base/temp_dir.hpp"
#include "fakes/signing_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

namespace builder::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Values = std::map<std::string, std::string, std::less<>>;

LoadedConfig load(Values values, std::string_view dotenv = "") {
  values.try_emplace("API_KEY", "key");
  return load_config(
      [values](std::string_view name) -> std::optional<std::string> {
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
  EXPECT_EQ(config.redis.address.host, "localhost");
  EXPECT_EQ(config.redis.address.port, 6379);
  EXPECT_EQ(config.redis.queue, "builder-queue");
  EXPECT_EQ(config.redis.cancel_channel, "builder:cancel");
  EXPECT_EQ(config.aws.endpoints.region, "us-east-1");
  EXPECT_EQ(config.api_url, "http://127.0.0.1:3000/api");
  EXPECT_EQ(config.github_url, "https://github.com");
  EXPECT_EQ(config.ecr_keep_images, 1);
  EXPECT_EQ(config.log_level, LogLevel::info);
  EXPECT_TRUE(config.http_listen.empty());
  EXPECT_FALSE(config.allow_unsafe_queue);
}

TEST(Config, WhatAnImageDependsOnIsKeptAsItIsSet) {
  const LoadedConfig loaded =
      load({{"CNB_RUN_IMAGE", "x/run@sha256:1"}, {"CNB_NODE_VERSION", "https://u:p@h/"}});
  std::map<std::string, std::string> kept(loaded.config.image_settings.begin(),
                                          loaded.config.image_settings.end());
  EXPECT_EQ(kept["ENV_DELIVERY"], "file,secret,arg") << "a default may be another one later";
  EXPECT_EQ(kept["CNB_RUN_IMAGE"], "x/run@sha256:1");
  EXPECT_FALSE(kept.contains("CNB_ALLOWED_BUILDERS")) << "it is empty";
  EXPECT_FALSE(kept.contains("CNB_NODE_VERSION")) << "an address may hold a password";
  for (const char* other : {"API_KEY", "DOCKER_HOST", "CNB_DEPENDENCY_MIRROR", "CNB_BINDINGS",
                            "BUILD_NETWORK_POLICY", "FRONTENDS", "CNB_TRUSTED_BUILDERS", ""}) {
    EXPECT_FALSE(is_image_setting(other)) << other;
  }
}

TEST(Config, TheHistoryHasAnAgeASizeAndAFolder) {
  using std::chrono::days;
  const Config standard = load({{"WORK_DIR", "/w"}}).config;
  EXPECT_EQ(standard.history.keep.age, days(30));
  EXPECT_EQ(standard.history.keep.bytes, 1ULL << 30);
  EXPECT_EQ(standard.history.folder, "/w/history");
  const Config other = load({{"HISTORY_KEEP", "7d,16MiB"}, {"HISTORY_DIR", "/h"}}).config;
  EXPECT_EQ(other.history.keep.age, days(7));
  EXPECT_EQ(other.history.keep.bytes, 16ULL << 20);
  EXPECT_EQ(other.history.folder, "/h");
  EXPECT_EQ(load({{"HISTORY_KEEP", "0"}}).config.history.keep.bytes, 0U);
  for (const char* bad : {"30d", "1GiB", "1GiB,30d", "0d,1GiB", "d,1GiB", ",1GiB", "30d,",
                          "30,1GiB", "30d,1MiB", "-1d,1GiB", "99999d,1GiB", "30d,1GiB,", "x"}) {
    const auto loaded = load({{"HISTORY_KEEP", bad}});
    ASSERT_EQ(loaded.errors.size(), 1U) << bad;
    EXPECT_THAT(loaded.errors[0].text, StartsWith("HISTORY_KEEP must be"));
  }
}

TEST(Config, TheTokenOfTheHistoryIsASecretThatFitsIntoAHeader) {
  const LoadedConfig good = load({{"HISTORY_TOKEN", "0123456789abcdef"}});
  EXPECT_THAT(good.errors, IsEmpty());
  EXPECT_EQ(setting(good, "HISTORY_TOKEN").value, "********");
  for (const std::string& bad : {std::string("0123456789abcde"), std::string("0123456789 abcdef"),
                                 std::string("0123456789abcdef\r\nX: y"), std::string(257, 'x'),
                                 std::string("0123456789abcdef\xc3\xa4")}) {
    const LoadedConfig loaded = load({{"HISTORY_TOKEN", bad}});
    EXPECT_THAT(loaded.errors_of({Concern::history}),
                ElementsAre(StartsWith("HISTORY_TOKEN must be 16 to 256")));
    EXPECT_THAT(loaded.errors_of({Concern::queue}), IsEmpty());
    EXPECT_FALSE(loaded.errors.front().text.contains(bad));
  }
  EXPECT_THAT(load({{"HISTORY_ADDRESS", "ops-1:9191"}}).errors_of({Concern::history}),
              ElementsAre(StartsWith("HISTORY_ADDRESS must be")));
}

TEST(Config, TheEnvironmentWinsOverTheFile) {
  const auto loaded = load({{"REDIS_HOST", "env"}, {"AWS_REGION", ""}},
                           "REDIS_HOST=file\n# comment\nexport AWS_REGION='eu-west-1'\n"
                           "WORK_DIR = \"/x y\"  # tail\n");
  EXPECT_EQ(loaded.config.redis.address.host, "env");
  EXPECT_EQ(setting(loaded, "REDIS_HOST").origin, "environment");
  EXPECT_EQ(loaded.config.aws.endpoints.region, "eu-west-1");
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
  for (const ConfigError& error : loaded.errors) {
    all += error.text + "\n";
  }
  for (const char* name :
       {"API_KEY", "REDIS_PORT", "API_URL", "BUILD_TIMEOUT", "GIT_NETWORK_POLICY",
        "AWS_SECRET_ACCESS_KEY", "HTTP_LISTEN", "DOCKER_HOST"}) {
    EXPECT_TRUE(all.contains(name)) << name << " is missing in\n" << all;
  }
}

TEST(Config, WhatCouldOnlyFailLaterFailsAtOnce) {
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"DOCKER_HOST", "tcp://host"},
                                                        {"DOCKER_HOST", "tcp://:2375"},
                                                        {"DOCKER_HOST", "tcp://host:port"},
                                                        {"DOCKER_HOST", "unix://docker.sock"},
                                                        {"DOCKER_HOST", "/var/run/docker.sock"},
                                                        {"BUILD_NETWORK_POLICY", "none"},
                                                        {"GIT_ALLOWED_HOSTS", "https://a.test"},
                                                        {"GIT_ALLOWED_HOSTS", "a.test,10.1.2.3/8"},
                                                        {"BUILD_NETWORK_ISOLATION", "true"},
                                                        {"CACHE_SHARING", "repository"},
                                                        {"FRONTENDS", "https://docker.io/x"},
                                                        {"API_URL", "http:///api"},
                                                        {"API_URL", "https://"},
                                                        {"API_URL", "http://a b/"},
                                                        {"GITHUB_URL", "github.com"},
                                                        {"AWS_REGION", "eu west/1"},
                                                        {"AWS_REGION", "evil.example/#"},
                                                        {"HTTP_LISTEN", ":9090"},
                                                        {"HTTP_LISTEN", "9090"},
                                                        {"HTTP_LISTEN", "::1:9090"},
                                                        {"HTTP_LISTEN", "localhost:70000"},
                                                        {"REDIS_HOST", "redis:6379"},
                                                        {"REDIS_HOST", "[::1]:6379"},
                                                        {"REDIS_HOST", "redis://redis"},
                                                        {"REDIS_PORT", "0"},
                                                        {"REDIS_PORT", "6379x"},
                                                        {"MAX_PARALLEL_BUILDS", "0"},
                                                        {"MAX_PARALLEL_BUILDS", "65"},
                                                        {"ECR_KEEP_IMAGES", "-1"},
                                                        {"IMAGE_REFERENCE", "latest"},
                                                        {"IMAGE_COMPRESSION", "lz4"},
                                                        {"PLATFORMS", "linux/amd46"},
                                                        {"PLATFORMS", "linux/amd64,"},
                                                        {"PLATFORM_EMULATION", "forbid"},
                                                        {"IMAGE_COMPRESSION", "zstd:"},
                                                        {"IMAGE_COMPRESSION", "zstd:23"},
                                                        {"IMAGE_COMPRESSION", "gzip:10"},
                                                        {"IMAGE_COMPRESSION", "estargz:10"},
                                                        {"LOG_LEVEL", "loud"},
                                                        {"WORKER_ID", "a/b"}}) {
    const auto loaded = load({{name, value}});
    ASSERT_EQ(loaded.errors.size(), 1u) << name << "=" << value;
    EXPECT_TRUE(loaded.errors[0].text.starts_with(name)) << loaded.errors[0].text;
  }
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"DOCKER_HOST", "tcp://[::1]:2375"},
           {"DOCKER_HOST", "unix:///x y/docker.sock"},
           {"API_URL", "https://[2001:db8::1]:8443/api"},
           {"HTTP_LISTEN", "[::1]:9090"},
           {"HTTP_LISTEN", "0.0.0.0:0"},
           {"GIT_ALLOWED_HOSTS", "git.example.com, *.forge.example.com, 10.1.0.0/16, fd00:1::/64"},
           {"BUILD_NETWORK_ISOLATION", "require"},
           {"IMAGE_COMPRESSION", "zstd:22"},
           {"IMAGE_COMPRESSION", "estargz:9"},
           {"PLATFORMS", "linux/amd64, linux/arm64"},
           {"IMAGE_COMPRESSION", "gzip"},
           {"AWS_REGION", "us-gov-west-1"}}) {
    EXPECT_TRUE(load({{name, value}}).errors.empty()) << name << "=" << value;
  }
}

TEST(Config, APolicyIsReadAtTheStartAndNamesTheLineThatIsWrong) {
  const TempDir folder = TempDir::make("/tmp", "policy-").value();
  const std::string path = folder.path() + "/policy.toml";
  std::ofstream(path) << "refuse = [\"onbuild\"]\n[[images]]\nfrom = [\"docker.io/library/*\"]\n";
  const LoadedConfig good = load({{"POLICY_FILE", path}});
  EXPECT_THAT(good.errors, IsEmpty());
  EXPECT_EQ(good.config.policy->images.size(), 1U);
  EXPECT_THAT(good.warnings, ElementsAre(StartsWith("POLICY_FILE refuses CNB_BUILDER: ")));
  EXPECT_EQ(load({}).config.policy, nullptr);
  std::ofstream(path) << "\nrefuse = [\"root\"]\n";
  const LoadedConfig bad = load({{"POLICY_FILE", path}});
  ASSERT_EQ(bad.errors.size(), 1U);
  EXPECT_EQ(bad.errors[0].concern, Concern::build);
  EXPECT_THAT(bad.errors[0].text, StartsWith("POLICY_FILE line 2: \"root\" is none of add-url"));
}

TEST(Config, TheRegionIsTheFirstThatIsNamed) {
  const TempDir folder = TempDir::make("/tmp", "config-").value();
  std::ofstream(folder.path() + "/config") << "[default]\nregion=eu-west-1\n[profile p]\n"
                                              "region=eu-west-2\n[profile bad]\nregion=a/b\n";
  Values values{{"AWS_CONFIG_FILE", folder.path() + "/config"}};
  const auto region = [&] { return load(values).config.aws.endpoints.region; };
  EXPECT_EQ(region(), "eu-west-1");
  values["AWS_PROFILE"] = "p";
  EXPECT_EQ(region(), "eu-west-2");
  values["AWS_DEFAULT_REGION"] = "eu-west-3";
  EXPECT_EQ(region(), "eu-west-3");
  EXPECT_EQ(setting(load(values), "AWS_REGION").origin, "AWS_DEFAULT_REGION");
  values["AWS_REGION"] = "eu-north-1";
  EXPECT_EQ(region(), "eu-north-1");
  const auto bad = load({{"AWS_CONFIG_FILE", folder.path() + "/config"}, {"AWS_PROFILE", "bad"}});
  ASSERT_EQ(bad.errors.size(), 1u);
  EXPECT_TRUE(bad.errors[0].text.starts_with("the region of profile")) << bad.errors[0].text;
}

TEST(Config, WhatChoosesTheCredentialsMayStandInTheFile) {
  const auto loaded = load({}, "AWS_PROFILE=deploy\nAWS_ROLE_ARN=arn:r\nHOME=/elsewhere\n");
  EXPECT_TRUE(loaded.errors.empty());
  EXPECT_EQ(loaded.config.aws.environment("AWS_ROLE_ARN"), "arn:r");
  EXPECT_EQ(loaded.config.aws.environment("HOME"), std::nullopt) << "no other name is taken";
  EXPECT_EQ(setting(loaded, "AWS_ACCESS_KEY_ID").help, "credentials in force: profile deploy");
  EXPECT_EQ(setting(load({{"AWS_ACCESS_KEY_ID", "a"}, {"AWS_SECRET_ACCESS_KEY", "b"}}),
                    "AWS_ACCESS_KEY_ID")
                .help,
            "credentials in force: environment");
}

TEST(Config, AnEndpointIsNamedOrChosen) {
  EXPECT_TRUE(load({{"AWS_USE_FIPS_ENDPOINT", "true"}}).config.aws.endpoints.fips);
  EXPECT_TRUE(load({{"AWS_USE_DUALSTACK_ENDPOINT", "true"}}).config.aws.endpoints.dual_stack);
  EXPECT_EQ(
      load({{"AWS_USE_FIPS_ENDPOINT", "true"}, {"AWS_ENDPOINT_URL", "http://a"}}).errors.size(),
      1u);
}

TEST(Config, TlsToTheEngineIsRefusedAndNotForgotten) {
  const auto loaded = load({{"DOCKER_HOST", "tcp://engine:2376"}, {"DOCKER_TLS_VERIFY", "1"}});
  ASSERT_EQ(loaded.errors.size(), 1u);
  EXPECT_TRUE(loaded.errors[0].text.starts_with("DOCKER_TLS_VERIFY")) << loaded.errors[0].text;
  EXPECT_TRUE(load({{"DOCKER_TLS_VERIFY", "1"}}).errors.empty()) << "a socket needs none";
  EXPECT_TRUE(load({{"DOCKER_HOST", "tcp://engine:2376"},
                    {"DOCKER_TLS_VERIFY", "1"},
                    {"BUILDKIT_HOST", "unix:///run/buildkit.sock"}})
                  .errors.empty());
}

TEST(Config, EachPlatformMayHaveABuildkitOfItsOwn) {
  const auto addresses = [](const char* value) {
    const auto loaded = load({{"BUILDKIT_HOST", value}});
    std::vector<std::string> texts;
    for (const ConfigError& error : loaded.errors) {
      texts.push_back(error.text);
    }
    for (const BuildkitAddress& one : loaded.config.buildkits) {
      texts.push_back(one.platform + "=" + one.address.str());
    }
    return texts;
  };
  using testing::ElementsAre;
  using testing::HasSubstr;
  EXPECT_THAT(addresses(""), ElementsAre());
  EXPECT_THAT(addresses("tcp://a:1"), ElementsAre("=tcp://a:1"));
  EXPECT_THAT(addresses("unix:///run/a=b,c.sock"), ElementsAre("=unix:///run/a=b,c.sock"));
  // That of linux/amd64 builds what nobody else is for.
  EXPECT_THAT(
      addresses("linux/arm64=tcp://b:1,linux/x86_64=unix:///a.sock,linux/s390x=tcp://[::1]:2"),
      ElementsAre("linux/x86_64=unix:///a.sock", "linux/arm64=tcp://b:1",
                  "linux/s390x=tcp://[::1]:2"));
  EXPECT_THAT(addresses("linux/arm64=tcp://b:1"), ElementsAre("linux/arm64=tcp://b:1"));
  EXPECT_THAT(addresses("linux/amd64=tcp://a:1,tcp://b:1"),
              ElementsAre(HasSubstr("BUILDKIT_HOST must be one address, or several like")));
  EXPECT_THAT(addresses("linux/amd46=tcp://a:1"),
              ElementsAre(HasSubstr("did you mean linux/amd64")));
  EXPECT_THAT(addresses("linux/arm64=tcp://a:1,linux/aarch64=tcp://b:1"),
              ElementsAre(HasSubstr("must name one address for linux/aarch64")));
  EXPECT_THAT(addresses("linux/amd64=tcp://a:1,linux/arm64=b:1"),
              ElementsAre(HasSubstr("BUILDKIT_HOST has for linux/arm64 what must be unix://")));
  EXPECT_TRUE(load({{"BUILDKIT_HOST", "linux/amd64=unix:///a.sock,linux/arm64=unix:///b.sock"},
                    {"BUILDKIT_TLS_SERVER_NAME", "x"}})
                  .errors.at(0)
                  .text.contains("needs BUILDKIT_HOST=tcp"));
}

TEST(Config, WhatTheDockerCommandKnowsMoreIsRefused) {
  const auto certificates =
      load({{"DOCKER_HOST", "tcp://engine:2376"}, {"DOCKER_CERT_PATH", "/certs"}});
  ASSERT_EQ(certificates.errors.size(), 1u);
  EXPECT_TRUE(certificates.errors[0].text.starts_with("DOCKER_CERT_PATH"))
      << certificates.errors[0].text;
  const auto context = load({{"DOCKER_CONTEXT", "remote"}});
  ASSERT_EQ(context.errors.size(), 1u);
  EXPECT_TRUE(context.errors[0].text.starts_with("DOCKER_CONTEXT")) << context.errors[0].text;
  EXPECT_TRUE(load({{"DOCKER_CONTEXT", "default"}}).errors.empty());
  EXPECT_TRUE(load({{"DOCKER_CONTEXT", "remote"}, {"BUILDKIT_HOST", "unix:///run/buildkit.sock"}})
                  .errors.empty());
}

TEST(Config, RedisMayHaveAnIpv6Address) {
  for (const char* value : {"::1", "[::1]"}) {
    EXPECT_EQ(load({{"REDIS_HOST", value}}).config.redis.address.host, "::1");
  }
  EXPECT_EQ(load({{"REDIS_HOST", "2001:db8::7"}}).config.redis.address.host, "2001:db8::7");
}

TEST(Config, AMisspeltNameInTheFileIsAWarning) {
  const auto warnings = [](std::string_view file) { return load({}, file).warnings; };
  EXPECT_THAT(warnings("REDIS_HOTS=x\n"),
              ElementsAre(".env: REDIS_HOTS is not a setting; REDIS_HOST?"));
  EXPECT_THAT(warnings("api_key=x\n"), ElementsAre(".env: api_key is not a setting; API_KEY?"));
  EXPECT_THAT(warnings("BUILD_TIME_OUT=1m\n"),
              ElementsAre(".env: BUILD_TIME_OUT is not a setting; BUILD_TIMEOUT?"));
  EXPECT_THAT(warnings("REDIS_HOST=x\nNODE_ENV=production\nPATH=/bin\nHTTP_PROXY=http://p\n"),
              IsEmpty());
}

TEST(Config, TellsLinesOfTheFileThatCannotBeReadWithoutTheirContent) {
  const auto warnings = [](std::string_view file) { return load({}, file).warnings; };
  EXPECT_THAT(warnings("# a comment\n\nexport LOG_LEVEL=info # why\nBUILD_TIMEOUT='5m' # why\n"),
              IsEmpty());
  EXPECT_THAT(warnings("LOG_LEVEL=info\nAPI_KEY s3cret\n"),
              ElementsAre(".env: line 2 is not NAME=value; it is passed over"));
  EXPECT_THAT(warnings("s3cret word=1\n=s3cret\nexport API_KEY\n"),
              ElementsAre(".env: line 1 is not NAME=value; it is passed over",
                          ".env: line 2 is not NAME=value; it is passed over",
                          ".env: line 3 is not NAME=value; it is passed over"));
  EXPECT_THAT(warnings("REDIS_PASSWORD=\"s3cret\n"),
              ElementsAre(".env: line 1 has a quote that is not closed in the same line; it counts "
                          "as part of the value"));
  EXPECT_THAT(warnings("REDIS_PASSWORD='s3'cret\n"),
              ElementsAre(".env: line 1 has text behind the closing quote; it is cut off"));
}

TEST(Config, AKeyThatAProxyCanReadIsAWarning) {
  const auto warnings = [](const std::string& url, const std::string& direct = "") {
    return load({{"API_URL", url},
                 {"http_proxy", "http://proxy:3128"},
                 {"https_proxy", "http://proxy:3128"},
                 {"no_proxy", direct}})
        .warnings;
  };
  EXPECT_THAT(warnings("http://platform.test/api"),
              ElementsAre(::testing::StartsWith("API_URL is asked over http through a proxy")));
  EXPECT_THAT(warnings("https://platform.test/api"), IsEmpty());
  EXPECT_THAT(warnings("http://127.0.0.1:3000/api"), IsEmpty());
  EXPECT_THAT(warnings("http://platform.test/api", "platform.test"), IsEmpty());
}

TEST(Config, ReadsTheFileAsTheCommonReadersDo) {
  const std::pair<const char*, const char*> table[] = {
      {"REDIS_HOST=h", "h"},
      {"  REDIS_HOST  =  h  ", "h"},
      {"export REDIS_HOST=h", "h"},
      {"REDIS_HOST='h # x'", "h # x"},
      {"REDIS_HOST=\"h\" # tail", "h"},
      {"REDIS_HOST=h # tail", "h"},
      {"REDIS_HOST=h#1", "h#1"},
      {"REDIS_HOST=h\r\nX=1\r", "h"},
      {"REDIS_HOST=a=b==", "a=b=="},
      {"REDIS_HOST=first\nREDIS_HOST=h", "h"},
      {"REDIS_HOST='it\"s'", "it\"s"},
      {"REDIS_HOST='unclosed", "'unclosed"},
      {"#REDIS_HOST=x\n\n=\nnonsense\nREDIS_HOST=h", "h"},
      {"\xEF\xBB\xBFREDIS_HOST=h", "h"},
      {"REDIS_HOST=''", "localhost"},
      {"REDIS_HOST=", "localhost"},
      {"redis_host=x", "localhost"},
  };
  for (const auto& [file, host] : table) {
    EXPECT_EQ(load({}, file).config.redis.address.host, host) << file;
  }
}

TEST(Config, SecretsAreStarred) {
  const auto loaded = load({{"REDIS_PASSWORD", "hunter22"}, {"API_KEY", "topsecret"}});
  EXPECT_EQ(loaded.config.redis.password.reveal(), "hunter22");
  EXPECT_EQ(setting(loaded, "REDIS_PASSWORD").value, "********");
  EXPECT_EQ(setting(loaded, "AWS_SESSION_TOKEN").value, "");
}

TEST(Config, WhatIsStarredIsTakenOutOfTheLogs) {
  const auto secrets_of = [](const LoadedConfig& loaded) {
    std::multimap<std::string, std::string> secrets;
    for (const NamedSecret& secret : loaded.config.secrets) {
      secrets.emplace(secret.name, secret.value.reveal());
    }
    return secrets;
  };
  int starred = 0;
  for (const EffectiveSetting& one : load({}).settings) {
    const auto loaded = load({{one.name, "some-value"}});
    const bool is_secret = setting(loaded, one.name).value == "********";
    EXPECT_EQ(secrets_of(loaded).contains(one.name), is_secret) << one.name;
    starred += is_secret ? 1 : 0;
  }
  EXPECT_GE(starred, 6);
  const auto url = load({{"REDIS_URL", "rediss://user:p%40ss@redis.test:6380/0"}});
  EXPECT_THAT(secrets_of(url),
              ElementsAre(std::pair("API_KEY", "key"), std::pair("REDIS_URL", "p%40ss"),
                          std::pair("REDIS_URL", "p@ss")));
  EXPECT_FALSE(secrets_of(load({{"REDIS_URL", "redis://redis.test"}})).contains("REDIS_URL"));
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

TEST(Config, ASigningKeyIsReadAtTheStart) {
  const TempDir folder = TempDir::make("/tmp", "config-").value();
  const std::string path = folder.path() + "/key.pem";
  std::ofstream(path) << fakes::k_signing_key;
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  const Values on{{"ATTESTATIONS", "on"}, {"BUILDER_ID", "https://b.example.com/"}};
  const auto with = [&on](const std::string& place) {
    Values values = on;
    values["SIGNING_KEY"] = place;
    return load(values);
  };
  const auto signs = with(path);
  EXPECT_THAT(signs.errors, IsEmpty());
  EXPECT_THAT(signs.warnings, IsEmpty());
  EXPECT_TRUE(signs.config.signing_key);
  EXPECT_EQ(signs.config.builder_id, "https://b.example.com");
  const auto kms = with("awskms:///alias/signing");
  EXPECT_EQ(kms.config.kms_key->id, "alias/signing");
  EXPECT_FALSE(kms.config.signing_key);

  std::filesystem::permissions(path, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(with(path).warnings, ElementsAre(HasSubstr("every user of this machine")));
  EXPECT_THAT(load({{"SIGNING_KEY", "awskms:///k"}}).warnings,
              ElementsAre("SIGNING_KEY signs nothing while ATTESTATIONS is off"));
  std::ofstream(path) << "nonsense";
  for (const std::string& bad :
       {path, folder.path(), folder.path() + "/none", std::string("awskms://h/k")}) {
    const auto loaded = with(bad);
    ASSERT_EQ(loaded.errors.size(), 1u) << bad;
    EXPECT_THAT(loaded.errors.front().text, StartsWith("SIGNING_KEY: "));
    EXPECT_EQ(loaded.errors.front().concern, Concern::registry);
  }
  EXPECT_THAT(load({{"ATTESTATIONS", "required"}}).errors.front().text,
              StartsWith("ATTESTATIONS needs BUILDER_ID"));
  Values scans = on;
  scans["SBOM_SCANNER"] = "docker/buildkit-syft-scanner:1";
  EXPECT_THAT(load(scans).errors, IsEmpty());
  scans["SBOM_SCANNER"] = "A scanner";
  EXPECT_THAT(load(scans).errors.front().text, StartsWith("SBOM_SCANNER: "));
  EXPECT_THAT(load({{"SBOM_SCANNER", "scanner"}}).warnings,
              ElementsAre("SBOM_SCANNER scans nothing while ATTESTATIONS is off"));
}

TEST(Config, DownloadsAreRecordedOfAStandaloneBuildkitWithAttestations) {
  Values values{{"RECORD_DOWNLOADS", "on"}};
  EXPECT_THAT(load(values).warnings,
              ElementsAre("RECORD_DOWNLOADS records nothing while ATTESTATIONS is off"));
  values["ATTESTATIONS"] = "on";
  values["BUILDER_ID"] = "https://b.example.com";
  EXPECT_THAT(load(values).warnings,
              ElementsAre("RECORD_DOWNLOADS records nothing without BUILDKIT_HOST"));
  EXPECT_FALSE(load(values).config.record_downloads);
  values["BUILDKIT_HOST"] = "unix:///run/buildkit/buildkitd.sock";
  EXPECT_THAT(load(values).warnings, IsEmpty());
  EXPECT_TRUE(load(values).config.record_downloads);
  values["RECORD_DOWNLOADS"] = "yes";
  EXPECT_THAT(load(values).errors.front().text, StartsWith("RECORD_DOWNLOADS "));
}

TEST(Config, WhatIsWrongWithOtherConcernsKeepsNoCommandFromItsWork) {
  const auto loaded = load({{"API_KEY", ""},
                            {"REDIS_PORT", "70000"},
                            {"REDIS_TLS_CERT_FILE", "/c.pem"},
                            {"AWS_ACCESS_KEY_ID", "AKIA"},
                            {"HTTP_LISTEN", "nine"}});
  EXPECT_THAT(loaded.errors_of({Concern::build}), IsEmpty());
  EXPECT_THAT(loaded.errors_of({Concern::queue}),
              ElementsAre(StartsWith("REDIS_PORT"), StartsWith("REDIS_TLS_CERT_FILE")));
  EXPECT_THAT(loaded.errors_of({Concern::platform}), ElementsAre(StartsWith("API_KEY")));
  EXPECT_THAT(loaded.errors_of({Concern::worker, Concern::registry}),
              ElementsAre(StartsWith("HTTP_LISTEN"), StartsWith("AWS_ACCESS_KEY_ID")));
  EXPECT_THAT(load({{"LOG_LEVEL", "loud"}}).errors_of({}), ElementsAre(StartsWith("LOG_LEVEL")));
}

TEST(Config, NoErrorShowsASecret) {
  const auto loaded =
      load({{"API_URL", "ftp://user:hunter22@host"}, {"AWS_SECRET_ACCESS_KEY", "hunter22"}});
  ASSERT_EQ(loaded.errors.size(), 2u);
  for (const ConfigError& error : loaded.errors) {
    EXPECT_FALSE(error.text.contains("hunter22")) << error.text;
  }
  for (const EffectiveSetting& shown : loaded.settings) {
    EXPECT_FALSE(shown.value.contains("hunter22")) << shown.name;
  }
}

TEST(Config, CredentialsInAnAddressAreRefused) {
  EXPECT_FALSE(load({{"API_URL", "http://user:password@host/api"}}).errors.empty());
}

}  // namespace
}  // namespace builder::app
