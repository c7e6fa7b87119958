#include "adapters/dashboard/reporter.hpp"

#include "adapters/dashboard/answer.hpp"
#include "adapters/dashboard/platform_text.hpp"
#include "fakes/fake_lease.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

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

/// Counts what is under way.
class SlowPlatform final : public http::Client {
 public:
  Result<http::Response> send(const http::Request& request, const std::stop_token& /*stop*/,
                              SteadyTime /*deadline*/) override {
    const bool is_builded = request.body.contains("BUILDED");
    std::atomic<int>& under_way = is_builded ? builded_ : others_;
    std::atomic<int>& most = is_builded ? most_builded : most_others;
    most = std::max(most.load(), ++under_way);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    --under_way;
    return http::Response{.status = 200, .headers = {}, .body = R"({"status":"success"})"};
  }

  [[nodiscard]] http::FailureCounts failures() const override { return {}; }

  std::atomic<int> most_builded = 0;
  std::atomic<int> most_others = 0;

 private:
  std::atomic<int> builded_ = 0;
  std::atomic<int> others_ = 0;
};

TEST(Reporter, PostsOneBuildedBehindTheOtherAndHoldsUpNothingElse) {
  SlowPlatform platform;
  const auto reporter =
      make_reporter({.api_url = "http://api.test/api", .api_key = Secret("k")}, platform);
  {
    std::vector<std::jthread> posts;
    for (int i = 0; i < 6; ++i) {
      for (const auto status : {DeploymentStatus::builded, DeploymentStatus::failed}) {
        posts.emplace_back([&, i, status] {
          EXPECT_TRUE(reporter->post_status(
              domain::DeploymentId("d" + std::to_string(i)),
              {.status = status, .error = {}, .log = {}, .image_uri = {}}, {}));
        });
      }
    }
  }
  EXPECT_EQ(platform.most_builded, 1);
  EXPECT_GT(platform.most_others, 1);
}

/// Keeps what may be sent when.
class AskingPlatform final : public http::Client {
 public:
  Result<http::Response> send(const http::Request& request, const std::stop_token& /*stop*/,
                              SteadyTime /*deadline*/) override {
    if (!request.may_send()) {
      return failure(ErrorKind::conflict, "held back");
    }
    return http::Response{.status = 200, .headers = {}, .body = R"({"status":"success"})"};
  }

  [[nodiscard]] http::FailureCounts failures() const override { return {}; }
};

TEST(Reporter, LooksAtTheLeaseWhenTheRequestGoesOut) {
  AskingPlatform platform;
  const auto reporter =
      make_reporter({.api_url = "http://api.test/api", .api_key = Secret("k")}, platform);
  fakes::FakeLease lease;
  const domain::DeploymentId id("d1");
  const ports::StatusUpdate update{
      .status = DeploymentStatus::builded, .error = {}, .log = {}, .image_uri = {}};
  EXPECT_TRUE(reporter->post_status(id, update, {.lease = &lease}));
  EXPECT_TRUE(reporter->post_log(id, domain::LogType::info, "x", {.lease = &lease}));
  lease.set(false);
  EXPECT_EQ(reporter->post_status(id, update, {.lease = &lease}).error().kind, ErrorKind::conflict);
  EXPECT_EQ(reporter->post_log(id, domain::LogType::info, "x", {.lease = &lease}).error().kind,
            ErrorKind::conflict);
  EXPECT_TRUE(reporter->probe({})) << "that is no deployment's";
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
  EXPECT_EQ(truncate_bytes("\xE2\x82\xAC", 2), "");
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

struct AnswerCase {
  int status;
  const char* body;
  std::optional<ErrorKind> kind;
  Effect effect;
  const char* told;
};

constexpr const char* k_html = "<html><title>Be back soon</title></html>";

TEST(Classify, HearsThePlatformAloneWhateverElseAnswers) {
  constexpr const char* k_success = R"({"status":"success","data":{}})";
  constexpr const char* k_unknown = R"({"status":"error","message":"Deployment not found"})";
  constexpr const char* k_error = R"({"status":"error","message":"why"})";
  const std::vector<AnswerCase> table{
      {200, k_success, {}, {}, ""},
      {201, k_success, {}, {}, ""},
      // The platform's own words.
      {401, k_error, ErrorKind::denied, Effect::none, "API_KEY"},
      {404, k_unknown, ErrorKind::not_found, Effect::none, "Deployment not found"},
      {400, k_error, ErrorKind::invalid_input, Effect::none, "why"},
      {413, k_error, ErrorKind::invalid_input, Effect::none, "why"},
      {429, k_error, ErrorKind::unavailable, Effect::none, "429"},
      {408, k_error, ErrorKind::unavailable, Effect::none, "408"},
      {503, k_error, ErrorKind::unavailable, Effect::none, "503"},
      {500, k_error, ErrorKind::internal, Effect::none, "why"},
      {502, k_error, ErrorKind::unavailable, Effect::possible, "502"},
      // A firewall, for what is in the post.
      {403, k_html, ErrorKind::invalid_input, Effect::none, "API_URL"},
      {403, k_error, ErrorKind::invalid_input, Effect::none, "why"},
      {406, k_html, ErrorKind::invalid_input, Effect::none, "API_URL"},
      {413, k_html, ErrorKind::invalid_input, Effect::none, "API_URL"},
      {400, "", ErrorKind::invalid_input, Effect::none, "API_URL"},
      // Strangers.
      {200, k_html, ErrorKind::unavailable, Effect::unreached, "Be back soon"},
      {200, "", ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {200, "{}", ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {200, k_error, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {200, R"(["success"])", ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {204, "", ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {401, k_html, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {401, R"({"error":"login"})", ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {404, "404 page not found", ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {404, R"({"status":"error","message":"Not found"})", ErrorKind::unavailable,
       Effect::unreached, "API_URL"},
      {404, R"({"message":"Deployment not found"})", ErrorKind::unavailable, Effect::unreached,
       "API_URL"},
      {404, k_success, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {405, k_html, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {410, k_html, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {407, k_html, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {301, "", ErrorKind::unavailable, Effect::unreached, "redirects to https://api.test/api"},
      {308, k_success, ErrorKind::unavailable, Effect::unreached, "redirects to https://api.test/"},
      {502, k_html, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {503, k_html, ErrorKind::unavailable, Effect::unreached, "API_URL"},
      {504, k_html, ErrorKind::unavailable, Effect::possible, "API_URL"},
      {500, k_html, ErrorKind::unavailable, Effect::possible, "API_URL"},
      {511, k_html, ErrorKind::unavailable, Effect::unreached, "API_URL"}};
  for (const AnswerCase& row : table) {
    http::Response response{
        .status = row.status,
        .headers = {{"Location", "https://api.test/api?token=x"}, {"Content-Type", "text/html"}},
        .body = row.body};
    const auto result = classify(response);
    SCOPED_TRACE(std::to_string(row.status) + " " + row.body);
    ASSERT_EQ(result.has_value(), !row.kind);
    if (!result) {
      EXPECT_EQ(result.error().kind, *row.kind) << result.error().message;
      EXPECT_EQ(result.error().effect, row.effect) << result.error().message;
      EXPECT_TRUE(result.error().message.contains(row.told)) << result.error().message;
      EXPECT_FALSE(result.error().message.contains("token")) << result.error().message;
    }
  }
}

}  // namespace
}  // namespace builder::adapters::dashboard
