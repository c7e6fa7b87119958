#include "adapters/dashboard/reporter.hpp"

#include "adapters/dashboard/platform_text.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace builder::adapters::dashboard {
namespace {

using nlohmann::json;
using ports::DeploymentStatus;

TEST(StatusBody, IsWhatThePlatformReads) {
  const json builded =
      json::parse(status_body({.status = DeploymentStatus::builded,
                               .error = {},
                               .log = domain::Message{domain::LogType::info, "done"},
                               .image_uri = "r/x"}));
  EXPECT_EQ(builded["status"], "BUILDED");
  EXPECT_EQ(builded["data"],
            (json{{"containerImageUri", "r/x"}, {"containerRegistryType", "ecr"}}));
  EXPECT_EQ(builded["logs"], (json{{"text", "done"}, {"type", "INFO"}}));
  const json building = json::parse(
      status_body({.status = DeploymentStatus::building, .error = {}, .log = {}, .image_uri = {}}));
  EXPECT_EQ(building["status"], "BUILDING");
  EXPECT_FALSE(building.contains("data"));
}

TEST(StatusBody, CutsTheErrorToWhatThePlatformKeeps) {
  std::string error;
  for (int i = 0; i < 300; ++i) {
    error += "\xC3\xA4";
  }
  const json failed = json::parse(status_body(
      {.status = DeploymentStatus::failed, .error = "a\nb " + error, .log = {}, .image_uri = {}}));
  const auto text = failed["error"].get<std::string>();
  std::size_t characters = 0;
  for (const char c : text) {
    characters += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u ? 1 : 0;
  }
  EXPECT_LE(characters, 191u);
  EXPECT_TRUE(text.starts_with("a b "));
}

TEST(LogBody, StaysBelowTheLimitAndBetweenCharacters) {
  std::string text(59'999, 'x');
  text += "\xE2\x82\xAC";
  const json body = json::parse(log_body(domain::LogType::stderr_, text));
  EXPECT_EQ(body["type"], "STDERR");
  EXPECT_EQ(body["text"].get<std::string>().size(), 59'999u);
  EXPECT_EQ(cut_bytes("\xE2\x82\xAC", 2), "");
}

TEST(StatusAnswer, IsReadLeniently) {
  EXPECT_FALSE(parse_status_answer("").deployment_completed);
  EXPECT_FALSE(
      parse_status_answer(R"({"data":{"deployment":{"completedAt":null}}})").deployment_completed);
  const auto ended = parse_status_answer(
      R"({"data":{"deployment":{"completedAt":"2026","service":{"deletedAt":"2026"}}}})");
  EXPECT_TRUE(ended.deployment_completed);
  EXPECT_TRUE(ended.service_deleted);
}

TEST(Classify, SaysWhatToDoAboutEveryStatus) {
  const auto kind = [](int status) {
    http::Response response;
    response.status = status;
    const auto result = classify(response);
    return result ? std::optional<ErrorKind>() : result.error().kind;
  };
  EXPECT_FALSE(kind(200));
  EXPECT_EQ(kind(400), ErrorKind::invalid_input);
  EXPECT_EQ(kind(401), ErrorKind::denied);
  EXPECT_EQ(kind(403), ErrorKind::denied);
  EXPECT_EQ(kind(404), ErrorKind::not_found);
  for (const int status : {408, 429, 500, 502, 503}) {
    EXPECT_EQ(kind(status), ErrorKind::unavailable) << status;
  }
}

}  // namespace
}  // namespace builder::adapters::dashboard
