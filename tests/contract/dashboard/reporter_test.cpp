// The port's promises, kept by the fake and by the adapter against a stand-in of the platform's API
// (API_URL, API_KEY) that enforces the real one's limits; then every rule of that API.
#include "adapters/dashboard/reporter.hpp"

#include "adapters/http/client.hpp"
#include "base/text.hpp"
#include "fakes/fake_reporter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>

namespace builder {
namespace {

using adapters::dashboard::make_reporter;
using domain::DeploymentId;
using domain::LogType;
using nlohmann::json;
using ports::DeploymentStatus;
using ports::StatusUpdate;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

StatusUpdate update(DeploymentStatus status, std::string error = {}) {
  return {.status = status, .error = std::move(error), .log = {}, .image_uri = {}};
}

/// The stand-in, seen from the other side.
class Platform {
 public:
  json control(const std::string& word, const std::string& more = "x") {
    std::string url = variable("API_URL");
    url.resize(url.size() - std::string_view("/api").size());
    const auto answer =
        client_->send({.url = url + "/control/" + word + "/" + more, .headers = {}, .direct = true},
                      {}, SteadyTime::max());
    return json::parse(answer.value().body);
  }

 private:
  std::unique_ptr<adapters::http::Client> client_ = adapters::http::make_client();
};

class RealReporterTest : public testing::Test {
 protected:
  RealReporterTest() { platform_.control("new", id_.str()); }

  ~RealReporterTest() override { platform_.control("delay", "x/0"); }

  json seen() { return platform_.control("look", id_.str()); }

  std::vector<std::string> rows() {
    std::vector<std::string> rows;
    const json deployment = seen();
    for (const json& row : deployment["logs"]) {
      rows.push_back(row[1].get<std::string>() + " " + row[2].get<std::string>());
    }
    return rows;
  }

  std::unique_ptr<adapters::dashboard::Reporter> reporter(const std::string& key) {
    return make_reporter({.api_url = variable("API_URL") + "/", .api_key = Secret(key)}, *client_);
  }

  Platform platform_;
  DeploymentId id_{"c" + random_hex(8)};
  std::unique_ptr<adapters::http::Client> client_ = adapters::http::make_client();
  std::unique_ptr<adapters::dashboard::Reporter> real_ = reporter(variable("API_KEY"));
};

// What both keep.

struct Subject {
  ports::DeploymentReporter& reporter;
  std::function<std::vector<std::string>()> posts;  ///< "STATUS" or "TYPE text", in order.
};

void keeps_order_and_content(const Subject& subject, const DeploymentId& id) {
  ASSERT_TRUE(subject.reporter.post_status(id, update(DeploymentStatus::building), {}));
  ASSERT_TRUE(subject.reporter.post_log(id, LogType::stdout_, "one\ntwo", {}));
  ASSERT_TRUE(subject.reporter.post_log(id, LogType::stderr_, "three", {}));
  StatusUpdate failed = update(DeploymentStatus::failed, "why");
  failed.log = domain::Message{LogType::error, "four"};
  ASSERT_TRUE(subject.reporter.post_status(id, failed, {}));
  EXPECT_THAT(subject.posts(),
              ElementsAre("BUILDING", "STDOUT one\ntwo", "STDERR three", "FAILED", "ERROR four"));
}

TEST(FakeReporterTest, KeepsOrderAndContent) {
  fakes::FakeReporter fake;
  keeps_order_and_content({fake,
                           [&] {
                             std::vector<std::string> all;
                             for (const auto& post : fake.posts()) {
                               if (post.is_status) {
                                 all.emplace_back(to_string(post.status));
                               }
                               if (!post.text.empty()) {
                                 all.push_back(std::string(to_string(post.type)) + " " + post.text);
                               }
                             }
                             return all;
                           }},
                          DeploymentId("d"));
}

TEST_F(RealReporterTest, KeepsOrderAndContent) {
  keeps_order_and_content(
      {*real_, [&] { return seen()["record"].get<std::vector<std::string>>(); }}, id_);
}

// The table "status".

TEST_F(RealReporterTest, BuildedHandsOverTheImageOnce) {
  StatusUpdate builded = update(DeploymentStatus::builded);
  builded.image_uri = "host/deployra/s1@sha256:0";
  ASSERT_TRUE(real_->post_status(id_, builded, {}));
  const json deployment = seen();
  EXPECT_EQ(deployment["status"], "DEPLOYING");
  EXPECT_EQ(deployment["image_uri"], "host/deployra/s1@sha256:0");
  EXPECT_EQ(deployment["registry_type"], "ecr");
  EXPECT_EQ(deployment["rollouts"], 1);
}

TEST_F(RealReporterTest, AFailureOfAnyTextLeavesAnEventThatSaysWhy) {
  std::string umlauts;
  for (int i = 0; i < 300; ++i) {
    umlauts += "\u00e4";
  }
  for (const std::string& error : {std::string("why"), std::string(191, 'x'), std::string(192, 'x'),
                                   umlauts, std::string("two\nlines\x1b[31m\r\n"),
                                   std::string("\xff\xfe bytes"), std::string(100'000, 'y')}) {
    const auto before = seen()["events"].size();
    ASSERT_TRUE(real_->post_status(id_, update(DeploymentStatus::failed, error), {}));
    const json events = seen()["events"];
    ASSERT_EQ(events.size(), before + 1) << "lost: " << error.substr(0, 40);
    EXPECT_THAT(events.back().get<std::string>(), Not(HasSubstr("\n")));
    EXPECT_NE(events.back(), "Deployment failed");
  }
}

TEST_F(RealReporterTest, CancelledEndsTheDeployment) {
  ASSERT_TRUE(real_->post_status(id_, update(DeploymentStatus::cancelled), {}));
  EXPECT_EQ(seen()["status"], "CANCELLED");
  EXPECT_THAT(seen()["events"], IsEmpty());
}

TEST_F(RealReporterTest, TheAnswerTellsWhatEndedMeanwhile) {
  const auto fresh = real_->post_status(id_, update(DeploymentStatus::building), {});
  ASSERT_TRUE(fresh);
  EXPECT_FALSE(fresh->deployment_completed || fresh->service_deleted);
  platform_.control("delete", id_.str());
  EXPECT_TRUE(real_->post_status(id_, update(DeploymentStatus::building), {})->service_deleted);
  platform_.control("cancel", id_.str());
  EXPECT_TRUE(
      real_->post_status(id_, update(DeploymentStatus::building), {})->deployment_completed);
}

TEST_F(RealReporterTest, NoLineOfALogIsLostToALimit) {
  std::string euros;
  while (euros.size() < 60'000) {
    euros += "\u20ac";
  }
  const std::vector<std::string> texts{
      std::string(60'000, 'x'), euros, " ", "\x1b[31mred\x1b[0m", std::string("a\0b", 3),
      "\U0001F600 \u2028"};
  for (const std::string& text : texts) {
    for (const LogType type :
         {LogType::stdout_, LogType::stderr_, LogType::info, LogType::warning, LogType::error}) {
      ASSERT_TRUE(real_->post_log(id_, type, text, {}));
      EXPECT_EQ(rows().back(), std::string(to_string(type)) + " " + text);
    }
  }
  const auto before = rows().size();
  ASSERT_TRUE(real_->post_log(id_, LogType::info, "", {})) << "nothing to show, so nothing sent";
  EXPECT_EQ(rows().size(), before);
  // What is longer than the port allows is cut, not refused: also beyond the body's 4 MiB.
  ASSERT_TRUE(real_->post_log(id_, LogType::info, std::string(10u << 20, '\x01'), {}));
  ASSERT_TRUE(real_->post_log(id_, LogType::info, "\xff\xc3", {}));
  EXPECT_EQ(rows().back(), "INFO \uFFFD\uFFFD");
}

// The table "case".

class RefusalTest : public RealReporterTest,
                    public testing::WithParamInterface<std::pair<const char*, ErrorKind>> {};

TEST_P(RefusalTest, IsTheKindThatSaysWhatToDoOnBothEndpoints) {
  const auto& [fault, kind] = GetParam();
  const std::string twice = std::string("x/") + fault + "," + fault;
  platform_.control("faults", twice);
  const auto status = real_->post_status(id_, update(DeploymentStatus::building), {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, kind) << status.error().message;
  const auto log = real_->post_log(id_, LogType::info, "x", {});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().kind, kind) << log.error().message;
  EXPECT_THAT(log.error().message, Not(HasSubstr(variable("API_KEY"))));
  EXPECT_THAT(rows(), IsEmpty());
  ASSERT_TRUE(real_->post_log(id_, LogType::info, "x", {})) << "the next one goes through";
}

INSTANTIATE_TEST_SUITE_P(Answers, RefusalTest,
                         testing::Values(std::pair{"400", ErrorKind::invalid_input},
                                         std::pair{"401", ErrorKind::denied},
                                         std::pair{"403", ErrorKind::invalid_input},
                                         std::pair{"404", ErrorKind::not_found},
                                         std::pair{"408", ErrorKind::unavailable},
                                         std::pair{"429", ErrorKind::unavailable},
                                         std::pair{"500", ErrorKind::internal},
                                         std::pair{"502", ErrorKind::unavailable},
                                         std::pair{"503", ErrorKind::unavailable},
                                         std::pair{"302", ErrorKind::unavailable},
                                         std::pair{"drop", ErrorKind::unavailable}),
                         [](const auto& row) { return std::string("_") + row.param.first; });

TEST_F(RealReporterTest, AWrongKeyAndAnUnknownDeploymentAreTold) {
  const auto wrong = reporter("wrong-key");
  EXPECT_EQ(wrong->post_status(id_, update(DeploymentStatus::building), {}).error().kind,
            ErrorKind::denied);
  const auto denied = wrong->post_log(id_, LogType::info, "x", {});
  EXPECT_EQ(denied.error().kind, ErrorKind::denied);
  EXPECT_THAT(denied.error().message, HasSubstr("Invalid API key"));
  const auto unknown = real_->post_log(DeploymentId("nobody"), LogType::info, "x", {});
  EXPECT_EQ(unknown.error().kind, ErrorKind::not_found);
  EXPECT_THAT(unknown.error().message, HasSubstr("Deployment not found"));
}

TEST_F(RealReporterTest, TheWaitThePlatformAsksForIsPassedOn) {
  platform_.control("faults", "x/429");
  const auto log = real_->post_log(id_, LogType::info, "x", {});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().retry_after, 1'000ms);
}

TEST_F(RealReporterTest, AStopEndsAPostThatIsNotAnswered) {
  platform_.control("delay", "x/5");
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const auto started = std::chrono::steady_clock::now();
  const auto log = real_->post_log(id_, LogType::info, "x", {.stop = stop.get_token()});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().kind, ErrorKind::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - started, 3s);
}

TEST_F(RealReporterTest, ALookTellsWhetherItIsThePlatformAndTakesTheKey) {
  const auto look = [&](const std::string& url, const std::string& key) {
    return make_reporter({.api_url = url, .api_key = Secret(key)}, *client_)->probe({});
  };
  const std::string url = variable("API_URL");
  EXPECT_TRUE(real_->probe({}));
  const auto refused = look(url, "wrong-key");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
  EXPECT_THAT(refused.error().message, HasSubstr("API_KEY"));
  for (const std::string& elsewhere : {url.substr(0, url.size() - std::string_view("/api").size()),
                                       url + "/v2", std::string("http://127.0.0.1:1/api")}) {
    const auto stranger = look(elsewhere, variable("API_KEY"));
    ASSERT_FALSE(stranger) << elsewhere;
    EXPECT_EQ(stranger.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(stranger.error().effect, Effect::unreached);
    EXPECT_THAT(stranger.error().message, HasSubstr("API_URL"));
  }
}

}  // namespace
}  // namespace builder
