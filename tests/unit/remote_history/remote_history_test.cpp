#include "adapters/remote_history/remote_history.hpp"

#include "adapters/remote_history/wire.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::remote_history {
namespace {

/// Gives one answer to everything, and keeps the question.
class OneAnswer final : public http::Client {
 public:
  explicit OneAnswer(Result<http::Response> answer) : answer_(std::move(answer)) {}

  Result<http::Response> send(const http::Request& request, const std::stop_token&,
                              SteadyTime) override {
    asked = request;
    return answer_;
  }

  [[nodiscard]] http::FailureCounts failures() const override { return {}; }

  http::Request asked;

 private:
  Result<http::Response> answer_;
};

http::Response answer_of(int status, std::string body) {
  return {.status = status, .headers = {}, .body = std::move(body)};
}

std::unique_ptr<ports::HistoryReader> history_at(http::Client& client) {
  return make_remote_history(client, {.url = "http://ops-1:9191", .token = Secret("the-token")},
                             {});
}

TEST(RemoteHistory, ShowsItsTokenAndGoesThroughNoProxy) {
  OneAnswer client(answer_of(200, R"({"runs":[]})"));
  ASSERT_TRUE(history_at(client)->find(domain::DeploymentId("d1")));
  EXPECT_EQ(client.asked.url, "http://ops-1:9191/history/d1");
  EXPECT_EQ(client.asked.headers.front().value, "Bearer the-token");
  EXPECT_TRUE(client.asked.direct);
  EXPECT_EQ(client.asked.max_body, k_largest_answer);
  EXPECT_EQ(client.asked.timeout, std::chrono::seconds(5));
  ASSERT_TRUE(history_at(client)->list({.most = 5}));
  EXPECT_EQ(client.asked.url, "http://ops-1:9191/history?n=5");
}

TEST(RemoteHistory, AnAnswerThatIsNoneIsAnErrorThatSaysWhat) {
  for (const auto& [status, kind, words] :
       {std::tuple(401, ErrorKind::denied, "HISTORY_TOKEN"),
        std::tuple(404, ErrorKind::not_found, "no history"),
        std::tuple(503, ErrorKind::unavailable, "busy"),
        std::tuple(302, ErrorKind::internal, "302"),
        std::tuple(200, ErrorKind::internal, "not a history's")}) {
    OneAnswer client(answer_of(status, "<html>"));
    const auto runs = history_at(client)->list({});
    ASSERT_FALSE(runs) << status;
    EXPECT_EQ(runs.error().kind, kind) << status;
    EXPECT_TRUE(runs.error().message.contains(words)) << runs.error().message;
  }
  OneAnswer away(failure(ErrorKind::timed_out, "no answer"));
  EXPECT_EQ(history_at(away)->log(1, 0, 10).error().kind, ErrorKind::timed_out);
}

TEST(RemoteHistory, RowsGoForwardOnly) {
  const auto rows = [](const std::string& body) {
    OneAnswer client(answer_of(200, body));
    return history_at(client)->log(1, 5, 10);
  };
  EXPECT_EQ(rows(R"({"rows":[{"row":5},{"row":8}]})")->size(), 2U);
  EXPECT_FALSE(rows(R"({"rows":[{"row":4}]})"));
  EXPECT_FALSE(rows(R"({"rows":[{"row":6},{"row":6}]})"));
  EXPECT_FALSE(rows(R"({"rows":[{"row":18446744073709551615}]})"));
}

}  // namespace
}  // namespace builder::adapters::remote_history
