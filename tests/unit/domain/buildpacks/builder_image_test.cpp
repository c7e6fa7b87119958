#include "domain/buildpacks/builder_image.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace builder::domain::buildpacks {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json metadata() {
  return {{"images",
           {{{"image", "index.docker.io/acme/run:full"},
             {"mirrors", {"registry.example/acme/run", "mirror.example/run"}}}}},
          {"stack", {{"runImage", {{"image", "acme/old-run"}}}}},
          {"lifecycle",
           {{"version", "0.20.11"},
            {"apis", {{"platform", {{"supported", {"0.7", "0.12", "0.13", "0.14", "x"}}}}}}}}};
}

std::string config(json labels, std::vector<std::string> env = {"PATH=/bin", "CNB_USER_ID=1001",
                                                                "CNB_GROUP_ID=1002"}) {
  return json{{"config", {{"Env", std::move(env)}, {"Labels", std::move(labels)}}}}.dump();
}

std::string full_config() {
  return config({{"io.buildpacks.builder.metadata", metadata().dump()}});
}

TEST(BuilderImage, IsReadFromItsLabels) {
  const auto builder = read_builder_image(full_config(), "acme/builder");
  ASSERT_TRUE(builder) << builder.error().message;
  EXPECT_EQ(builder->user_id, 1001U);
  EXPECT_EQ(builder->group_id, 1002U);
  EXPECT_EQ(builder->lifecycle_version, "0.20.11");
  ASSERT_EQ(builder->run_images.size(), 2U);
  EXPECT_EQ(builder->run_images[1].image, "acme/old-run");
  EXPECT_EQ(builder->platform_apis.size(), 4U);
}

TEST(BuilderImage, NeedsNoLabel) {
  const auto builder = read_builder_image(config(nullptr), "acme/builder");
  ASSERT_TRUE(builder);
  EXPECT_TRUE(builder->run_images.empty());
  EXPECT_EQ(choose_platform_api(*builder, "b")->str(), "0.12");
}

TEST(BuilderImage, IsRefusedWithoutIdsOrWithThoseOfRoot) {
  using Env = std::vector<std::string>;
  for (const Env& env :
       {Env{"PATH=/bin"}, Env{"CNB_USER_ID=1001"}, Env{"CNB_USER_ID=1001x", "CNB_GROUP_ID=1"},
        Env{"CNB_USER_ID=-1", "CNB_GROUP_ID=1"}, Env{"CNB_USER_ID=0", "CNB_GROUP_ID=1000"},
        Env{"CNB_USER_ID=99999999999", "CNB_GROUP_ID=1"}}) {
    const auto builder = read_builder_image(config(nullptr, env), "acme/builder");
    ASSERT_FALSE(builder) << testing::PrintToString(env);
    EXPECT_EQ(builder.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(builder.error().customer, HasSubstr("acme/builder"));
    EXPECT_LE(builder.error().customer.size(), 191U);
  }
}

TEST(BuilderImage, IsRefusedWithImageExtensions) {
  const auto with = read_builder_image(
      config({{"io.buildpacks.buildpack.order-extensions", R"([{"group":[{"id":"x"}]}])"}}),
      "acme/ubi");
  ASSERT_FALSE(with);
  EXPECT_THAT(with.error().customer, HasSubstr("image extensions"));
  EXPECT_TRUE(
      read_builder_image(config({{"io.buildpacks.buildpack.order-extensions", "[]"}}), "acme/ubi"));
}

TEST(BuilderImage, SurvivesHostileLabels) {
  const std::string deep(100'000, '[');
  for (const std::string& text :
       {std::string("null"), std::string("[]"), deep, std::string(R"({"config":5})"),
        std::string(R"({"config":{"Env":7,"Labels":[1]}})"), std::string("\xff\xfe")}) {
    EXPECT_FALSE(read_builder_image(text, "b")) << text.substr(0, 40);
  }
  for (const json& value : {json("x"), json(R"({"images":{"image":1}})"), json(5),
                            json(R"({"images":[1,null,{"image":["a"],"mirrors":"m"}]})"),
                            json(R"({"lifecycle":{"apis":{"platform":{"supported":"0.7"}}}})"),
                            json(std::string(50'000, '['))}) {
    const auto builder =
        read_builder_image(config({{"io.buildpacks.builder.metadata", value}}), "b");
    ASSERT_TRUE(builder) << value.dump().substr(0, 80);
    EXPECT_TRUE(builder->run_images.empty());
    EXPECT_TRUE(builder->platform_apis.empty());
  }
}

TEST(BuilderImage, TakesABoundedNumberOfRunImages) {
  json images = json::array();
  for (int i = 0; i < 1000; ++i) {
    images.push_back({{"image", "r" + std::to_string(i)}});
  }
  images.push_back({{"image", std::string(10'000, 'a')}});
  const auto builder = read_builder_image(
      config({{"io.buildpacks.builder.metadata", json{{"images", images}}.dump()}}), "b");
  ASSERT_TRUE(builder);
  EXPECT_EQ(builder->run_images.size(), 32U);
}

TEST(PlatformApi, IsTheHighestBothKnow) {
  const auto choose = [](std::vector<std::string> supported) {
    BuilderImage builder;
    for (const std::string& text : supported) {
      builder.platform_apis.push_back(parse_api_version(text).value());
    }
    const auto chosen = choose_platform_api(builder, "b");
    return chosen ? chosen->str() : chosen.error().customer;
  };
  EXPECT_EQ(choose({"0.7", "0.14", "0.13", "0.12"}), "0.13");
  EXPECT_EQ(choose({"0.9", "0.10", "0.11"}), "0.11");
  EXPECT_EQ(choose({"0.7"}), "0.7");
  EXPECT_THAT(choose({"0.3", "0.6"}), HasSubstr("none of the platform APIs"));
  EXPECT_THAT(choose({"0.14", "1.0"}), HasSubstr("none of the platform APIs"));
}

TEST(PlatformApi, VersionsAreTwoNumbers) {
  EXPECT_EQ(parse_api_version("0.13"), (ApiVersion{0, 13}));
  EXPECT_LT(parse_api_version("0.9"), parse_api_version("0.10"));
  for (const char* text : {"", "0", "0.", ".1", "0.1.2", "a.b", "0.1 ", "-1.2", "0.-3"}) {
    EXPECT_FALSE(parse_api_version(text)) << text;
  }
}

TEST(RunImage, PrefersTheRegistryOfTheTarget) {
  const auto builder = read_builder_image(full_config(), "b").value();
  EXPECT_THAT(run_image_candidates(builder, "mirror.example"),
              ElementsAre("mirror.example/run", "index.docker.io/acme/run:full", "acme/old-run",
                          "registry.example/acme/run"));
  EXPECT_THAT(run_image_candidates(builder, "mirror.exam"),
              ElementsAre("index.docker.io/acme/run:full", "acme/old-run",
                          "registry.example/acme/run", "mirror.example/run"));
}

TEST(TrustedBuilders, AreComparedByRepositoryAndTag) {
  const std::vector<std::string> list{"paketobuildpacks/builder-jammy-base", "heroku/builder:24",
                                      "registry.example:5000/b"};
  EXPECT_TRUE(is_listed("paketobuildpacks/builder-jammy-base", list));
  EXPECT_TRUE(is_listed("docker.io/paketobuildpacks/builder-jammy-base:0.4.1", list));
  EXPECT_TRUE(is_listed("index.docker.io/heroku/builder:24", list));
  EXPECT_TRUE(is_listed("heroku/builder:24@sha256:00", list));
  EXPECT_TRUE(is_listed("registry.example:5000/b:1", list));
  EXPECT_FALSE(is_listed("heroku/builder", list));
  EXPECT_FALSE(is_listed("heroku/builder:24-evil", list));
  EXPECT_FALSE(is_listed("evil.example/heroku/builder:24", list));
  EXPECT_FALSE(is_listed("paketobuildpacks/builder-jammy-base-evil", list));
  EXPECT_FALSE(is_listed("", list));
  EXPECT_TRUE(is_listed("gcr.io/buildpacks/builder:google-22", known_builders()));
}

TEST(TrustedBuilders, KnowTheArchivedOne) {
  EXPECT_TRUE(is_archived_builder("paketobuildpacks/builder:base"));
  EXPECT_TRUE(is_archived_builder("index.docker.io/paketobuildpacks/builder:full"));
  EXPECT_FALSE(is_archived_builder("paketobuildpacks/builder-jammy-base"));
}

}  // namespace
}  // namespace builder::domain::buildpacks
