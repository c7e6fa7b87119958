#include "app/compose/build_parts.hpp"
#include "app/compose/platform_parts.hpp"
#include "app/compose/queue_parts.hpp"
#include "app/compose/registry_parts.hpp"
#include "base/temp_dir.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/loopback_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

namespace builder::app {
namespace {

using fakes::null_log;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Parts are made of the settings of their own concerns; what is wrong with others must not matter.
class Compose : public ::testing::Test {
 protected:
  void set(const std::string& name, const std::string& value) { values_[name] = value; }

  const Config& load(std::initializer_list<Concern> concerns) {
    set("WORK_DIR", folder_.path());
    loaded_ = load_config(
        [this](std::string_view name) -> std::optional<std::string> {
          const auto found = values_.find(name);
          return found == values_.end() ? std::nullopt : std::optional(found->second);
        },
        "");
    EXPECT_THAT(loaded_.errors_of(concerns), IsEmpty());
    return loaded_.config;
  }

  std::map<std::string, std::string, std::less<>> values_;
  TempDir folder_ = TempDir::make("/tmp", "compose").value();
  std::unique_ptr<adapters::http::Client> http_ = adapters::http::make_client();
  SecretStore secrets_;
  LoadedConfig loaded_;
};

TEST_F(Compose, ABuildNeedsNeitherQueueNorPlatform) {
  set("REDIS_PORT", "none");  // And no API_KEY.
  set("DOCKER_HOST", "unix://" + folder_.path() + "/no.sock");
  const Config& config = load({Concern::registry, Concern::build});
  WorkDir work = WorkDir::open(config.work_dir, "").value();
  RegistryParts registry(config, *http_, secrets_, null_log());
  const auto build =
      BuildParts::make(config, work, *http_, {*registry.registry, registry.logins, *registry.oci},
                       secrets_, null_log());
  ASSERT_TRUE(build) << build.error().message;
  const auto engine = (*build)->ask((*build)->engines.front(), {});
  ASSERT_FALSE(engine);
  EXPECT_THAT(engine.error().message, HasSubstr("/no.sock (DOCKER_HOST): "));
  EXPECT_THAT(engine.error().message, HasSubstr("does dockerd run?"));
  EXPECT_EQ(engine.error().setting, "DOCKER_HOST");
}

TEST_F(Compose, AnEngineThatIsThereSaysWhoItIs) {
  set("DOCKER_HOST", variable("DOCKER_HOST"));
  const Config& config = load({Concern::registry, Concern::build});
  WorkDir work = WorkDir::open(config.work_dir, "").value();
  RegistryParts registry(config, *http_, secrets_, null_log());
  const auto build =
      BuildParts::make(config, work, *http_, {*registry.registry, registry.logins, *registry.oci},
                       secrets_, null_log());
  ASSERT_TRUE(build) << build.error().message;
  const auto engine = (*build)->ask((*build)->engines.front(), {});
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_THAT(engine->name, HasSubstr("Docker Engine"));
}

TEST_F(Compose, TheQueueIsSeenWithoutAnEngine) {
  set("DOCKER_HOST", "ssh://elsewhere");
  for (const char* name : {"REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD"}) {
    set(name, variable(name));
  }
  set("REDIS_QUEUE_NAME", "compose-queue");
  const Config& config = load({Concern::queue});
  WorkDir work = WorkDir::open(config.work_dir, "").value();
  const QueueParts parts(config, work, null_log());
  const auto length = parts.queue->length();
  ASSERT_TRUE(length) << length.error().message;
  EXPECT_EQ(*length, 0u);
}

TEST_F(Compose, ThePlatformIsCheckedAlone) {
  const fakes::LoopbackServer api(
      [](const std::string&) { return fakes::http_answer(401, "", "{}"); });
  set("REDIS_PORT", "none");
  set("DOCKER_HOST", "ssh://elsewhere");
  set("API_URL", "http://" + api.host() + "/api");
  set("API_KEY", "key");
  PlatformParts platform(load({Concern::platform}), *http_);
  const auto checked = platform.check({});
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr("is API_URL its API?"));
}

}  // namespace
}  // namespace builder::app
