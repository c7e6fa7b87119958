#include "adapters/oci/retrying_push.hpp"

#include "fakes/fake_steps.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace builder::adapters::oci {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using Clock = std::chrono::steady_clock;

class SameLogin final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext&, const std::string&) override {
    return current;
  }

  void renew(const std::string&, const ports::SharedLogin&) override { ++renewals; }

  ports::SharedLogin current = std::make_shared<ports::RegistryLogin>();
  int renewals = 0;
};

/// The operator's log.
class Lines final : public LogSink {
 public:
  void write(LogLevel level, std::string_view line) override {
    if (level != LogLevel::debug) {
      lines.emplace_back(line);
    }
  }

  [[nodiscard]] bool enabled(LogLevel) const override { return true; }

  std::vector<std::string> lines;
};

class RetryingPushTest : public testing::Test {
 protected:
  RetryingPush& push(BackoffPolicy backoff = {.base = 1ms, .cap = 2ms},
                     PushPatience patience = {}) {
    made_.emplace(registry_, logins_, job_, repository_, events_, patience, backoff);
    EXPECT_TRUE(made_->login());
    return *made_;
  }

  static PushFailure failed(const std::string& text) {
    const PushFault fault = classify_push_error(text);
    return {.fault = fault, .error = push_error(fault, text)};
  }

  fakes::StepRecord record_;
  fakes::FakeRegistry registry_{record_};
  SameLogin logins_;
  std::stop_source stop_;
  std::shared_ptr<Lines> lines_ = std::make_shared<Lines>();
  ports::JobContext job_{.deployment_id = domain::DeploymentId("d"),
                         .stop = stop_.get_token(),
                         .deadline = Clock::now() + 1min,
                         .log = Log(lines_)};
  ports::Repository repository_{"registry.test/deployra/s"};
  fakes::RecordingEvents events_;
  std::optional<RetryingPush> made_;
};

TEST_F(RetryingPushTest, ARegistryThatIsAwayIsPushedToUntilItIsBackAndThatIsToldOnce) {
  RetryingPush& retrying = push();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(
        retrying.recover(failed("received unexpected HTTP status: 503 " +
                                std::string("Service Unavailable, try ") + std::to_string(i))));
  }
  retrying.succeeded();
  EXPECT_THAT(
      events_.lines(),
      ElementsAre("WARNING The image registry is away; the push is repeated until it is back",
                  "INFO The image registry is back"));
  ASSERT_EQ(lines_->lines.size(), 2u);
  EXPECT_TRUE(lines_->lines[0].contains("registry away")) << lines_->lines[0];
  EXPECT_TRUE(lines_->lines[0].contains("503 Service Unavailable, try 0")) << lines_->lines[0];
  EXPECT_TRUE(lines_->lines[1].contains("the registry is back")) << lines_->lines[1];
}

TEST_F(RetryingPushTest, APushThatSucceedsAtOnceTellsNothing) {
  push().succeeded();
  EXPECT_TRUE(events_.lines().empty());
  EXPECT_TRUE(lines_->lines.empty());
}

TEST_F(RetryingPushTest, WhatMayPassIsRepeatedAndWhatIsRefusedIsNot) {
  for (const char* text :
       {"received unexpected HTTP status: 408 Request Timeout", "toomanyrequests: Rate exceeded",
        "unexpected status from POST request to https://h/v2/x/blobs/uploads/: 403 Forbidden",
        "read tcp 10.0.0.2:1->10.0.0.9:443: read: connection reset by peer",
        "http2: server sent GOAWAY and closed the connection",
        "dial tcp: lookup registry.example on 127.0.0.53:53: server misbehaving",
        "denied: Your authorization token has expired. Reauthenticate and try again."}) {
    EXPECT_TRUE(push().recover(failed(text))) << text;
  }
  for (const char* text :
       {"denied: User: arn:x is not authorized to perform: ecr:InitiateLayerUpload",
        "tag invalid: The image tag 't' already exists in the 'r' repository and cannot be "
        "overwritten because the tag is immutable.",
        "manifest invalid: manifest invalid"}) {
    EXPECT_FALSE(push().recover(failed(text))) << text;
  }
}

TEST_F(RetryingPushTest, AnExpiredTokenIsRenewedOnceAndA403WaitsBehindThat) {
  const auto expired =
      failed("denied: Your authorization token has expired. Reauthenticate and try again.");
  RetryingPush& retrying = push();
  EXPECT_TRUE(retrying.recover(expired));
  EXPECT_FALSE(retrying.recover(expired));
  EXPECT_EQ(logins_.renewals, 1);
  RetryingPush& walled = push();
  const auto wall = failed("unexpected status from HEAD request to https://h/v2/x: 403 Forbidden");
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(walled.recover(wall));
  }
  EXPECT_EQ(logins_.renewals, 2);
  EXPECT_THAT(
      events_.lines(),
      ElementsAre("WARNING The image registry is away; the push is repeated until it is back"));
}

TEST_F(RetryingPushTest, TheWaitThatIsAskedForIsKeptWithinTheDeadline) {
  PushFailure busy = failed("toomanyrequests: Rate exceeded");
  busy.error.retry_after = 50ms;
  const auto before = Clock::now();
  EXPECT_TRUE(push().recover(busy));
  EXPECT_GE(Clock::now() - before, 50ms);
  busy.error.retry_after = 1h;
  const auto ended = push().recover(busy);
  ASSERT_FALSE(ended);
  EXPECT_TRUE(ended.error().is_transient());
  EXPECT_LT(Clock::now() - before, 10s);
}

TEST_F(RetryingPushTest, AStopEndsEveryPauseAtOnce) {
  RetryingPush& retrying = push({.base = 1h, .cap = 2h});
  job_.deadline = Clock::now() + 24h;
  const std::jthread stopper([this] {
    std::this_thread::sleep_for(50ms);
    stop_.request_stop();
  });
  const auto before = Clock::now();
  const auto ended = retrying.recover(failed("connection refused"));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::cancelled);
  EXPECT_LT(Clock::now() - before, 1s);
}

TEST_F(RetryingPushTest, AtTheEndOfItsTimeARegistryThatAnswersNothingIsTheOperators) {
  job_.deadline = Clock::now() + 5s;
  EXPECT_EQ(push().recover(failed("connection refused")).error().setting, "");
  registry_.probe_hook = [] {
    return Error{.kind = ErrorKind::unavailable, .message = "away"}.for_operator("AWS_REGION");
  };
  const auto ended = push().recover(failed("connection refused"));
  EXPECT_EQ(ended.error().setting, "AWS_REGION");
  EXPECT_FALSE(ended.error().of_one_service);
}

TEST_F(RetryingPushTest, WhoeverWatchesHearsSoonThatARegistryIsAway) {
  for (const auto& [said, reason] :
       {std::pair("failed to do request: Head \"https://registry.test/v2/x\": dial tcp "
                  "127.0.0.1:1: connect: connection refused",
                  "cannot be reached: connection refused"),
        std::pair("received unexpected HTTP status: 429 Too Many Requests",
                  "does not take the image: 429 Too Many Requests"),
        std::pair("Get \"https://registry.test/v2/\": dial tcp: lookup registry.test on "
                  "127.0.0.53:53: no such host",
                  "cannot be reached: no such host")}) {
    RetryingPush& retrying = push({.base = 1ms, .cap = 2ms}, 200ms);
    Result<> again;
    int tries = 0;
    while ((again = retrying.recover(failed(said)))) {
      ++tries;
    }
    EXPECT_GE(tries, 1);
    EXPECT_EQ(again.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(again.error().customer, "The registry registry.test " + std::string(reason));
    EXPECT_TRUE(again.error().setting.empty());
  }
  EXPECT_EQ(events_.lines().front(),
            "WARNING The registry registry.test does not answer; trying again");
}

TEST_F(RetryingPushTest, WhatStandsInTheRegistrysPlaceKeepsTheJob) {
  job_.deadline = Clock::now() + 5s;
  for (const char* text :
       {"unexpected status from POST request to https://h/v2/x/blobs/uploads/: 404 Not Found",
        "unexpected status from HEAD request to https://h/v2/x: 403 Forbidden"}) {
    RetryingPush& retrying = push();
    auto ended = retrying.recover(failed(text));
    if (ended) {  // A new login.
      ended = retrying.recover(failed(text));
    }
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().setting, "AWS_REGION") << text;
    EXPECT_TRUE(ended.error().of_one_service) << text;
  }
}

/// Who says it may not be the registry: a program in a customer's build knows the words as well.
TEST_F(RetryingPushTest, WhatARegistryIsSaidToBeIsAskedOfIt) {
  for (const char* text :
       {"Put \"https://registry.test/v2/\": x509: certificate signed by unknown authority",
        "unauthorized: authentication required", "Your authorization token has expired"}) {
    registry_.probe_hook = {};
    RetryingPush& retrying = push();
    auto ended = retrying.recover(failed(text));
    if (ended) {  // A new login.
      ended = retrying.recover(failed(text));
    }
    ASSERT_FALSE(ended);
    EXPECT_TRUE(ended.error().of_one_service) << text;
    registry_.probe_hook = [] { return Error{.kind = ErrorKind::denied, .message = "no"}; };
    EXPECT_FALSE(push().recover(failed("x509: no")).error().of_one_service) << text;
  }
}

TEST_F(RetryingPushTest, ARegistryThatAnswersDeniesThisRepositoryAlone) {
  const auto denied = failed("denied: User: arn:x is not authorized to perform: ecr:PutImage");
  const auto of_one = push().recover(denied);
  EXPECT_EQ(of_one.error().setting, "AWS_ACCESS_KEY_ID");
  EXPECT_TRUE(of_one.error().of_one_service);
  registry_.probe_hook = [] { return Error{.kind = ErrorKind::denied, .message = "no"}; };
  EXPECT_FALSE(push().recover(denied).error().of_one_service);
}

}  // namespace
}  // namespace builder::adapters::oci
