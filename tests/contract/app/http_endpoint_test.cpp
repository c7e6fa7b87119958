#include "app/http_endpoint.hpp"

#include "adapters/http/client.hpp"

#include <gtest/gtest.h>

namespace builder::app {
namespace {

using adapters::http::Method;
using adapters::http::Response;

class HttpEndpointTest : public testing::TestWithParam<const char*> {
 protected:
  Response get(const std::string& path, Method method = Method::get, std::string body = {}) {
    const std::string host = GetParam();
    return client_
        ->send({.method = method,
                .url = "http://" + host + ":" + std::to_string(endpoint_->port()) + path,
                .headers = {},
                .body = std::move(body),
                .direct = true},
               {}, SteadyTime::max())
        .value();
  }

  std::vector<std::string> reasons_;
  std::vector<std::string> warnings_;
  std::unique_ptr<HttpEndpoint> endpoint_ =
      HttpEndpoint::start(std::string(GetParam()) + ":0",
                          {.not_ready_reasons = [this] { return reasons_; },
                           .warnings = [this] { return warnings_; },
                           .metrics = [] { return std::string("a_metric 1\n"); }})
          .value();
  std::unique_ptr<adapters::http::Client> client_ = adapters::http::make_client();
};

TEST_P(HttpEndpointTest, AnswersWhetherItLivesIsReadyAndHowMuchItDid) {
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").body, "ready\n");
  EXPECT_EQ(get("/metrics").body, "a_metric 1\n");
  EXPECT_TRUE(get("/metrics").header("Content-Type")->starts_with("text/plain; version=0.0.4"));
  warnings_ = {"mend this"};
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_EQ(get("/readyz").body, "ready\nwarning: mend this\n");
  warnings_.clear();
  reasons_ = {"redis: away", "draining"};
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/readyz").body, "redis: away\ndraining\n");
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_P(HttpEndpointTest, KnowsNothingElse) {
  EXPECT_EQ(get("/").status, 404);
  EXPECT_EQ(get("/healthz/../x").status, 404);
  EXPECT_EQ(get("/healthz", Method::post, "x").status, 404);
  EXPECT_EQ(get("/metrics", Method::post, std::string(1 << 20, 'x')).status, 413);
}

TEST_P(HttpEndpointTest, AnAddressThatIsTakenIsSaid) {
  const auto second = HttpEndpoint::start(
      std::string(GetParam()) + ":" + std::to_string(endpoint_->port()), EndpointPages{});
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message.contains("HTTP_LISTEN")) << second.error().message;
}

INSTANTIATE_TEST_SUITE_P(Hosts, HttpEndpointTest,
                         testing::Values("127.0.0.1", "localhost", "[::1]"));

}  // namespace
}  // namespace builder::app
