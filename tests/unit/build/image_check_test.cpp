#include "build/image_check.hpp"

#include "fakes/memory_queue.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::build {
namespace {

using domain::ImageFinding;
using domain::SecretInImage;
using testing::HasSubstr;
using Place = ImageFinding::Place;

/// Says what the test wants, and keeps what it was asked.
class FakeSearch final : public ports::ImageSearch {
 public:
  Result<ports::ImageSearchReport> search(const ports::JobContext& job,
                                          const ports::ImageSearchSpec& spec) override {
    ++searches;
    known = spec.known;
    sought = domain::secrets_in(spec.sought, text).size();
    if (hook) {
      hook(job);
    }
    return report;
  }

  Result<ports::ImageSearchReport> report;
  std::string text;  ///< In which it looks.
  domain::FoundInLayers known;
  std::size_t sought = 0;
  int searches = 0;
  std::function<void(const ports::JobContext&)> hook;
};

const std::string k_digest = "sha256:" + std::string(64, 'a');

ImageFinding in_file(const std::string& path) {
  return {.place = Place::file, .secret = "variable TOKEN", .where = path, .layer = 1};
}

class ImageCheckTest : public testing::Test {
 protected:
  ImageCheckTest() {
    request_.deployment_id = domain::DeploymentId("d1");
    request_.service_id = domain::ServiceId("s1");
    request_.environment = {{"TOKEN", "npm_7Hq2LzP9xWv4Tn8RkYb3"}};
    queue_.push(R"({"deploymentId":"d1","serviceId":"s1"})");
    search_.report->layers = 1;
    search_.report->found = {{k_digest, {}}};
  }

  void SetUp() override {
    const auto taken = queue_.take(std::chrono::milliseconds(0), {});
    ASSERT_TRUE(taken && *taken);
    receipt_ = (*taken)->receipt;
  }

  /// What a deployment comes to; `promote` is between the two halves.
  Result<> check(SecretInImage action, const std::function<void()>& promote = [] {}) {
    const ImageCheckRules rules{.action = action, .names = {}, .limit = std::chrono::seconds(30)};
    ImageCheck check({&search_, queue_, secrets_, metrics_, events_}, rules, key_, env_file_,
                     request_, receipt_,
                     {.deployment_id = request_.deployment_id, .stop = stop_.get_token()});
    BUILDER_TRY(check.before_promotion({.repository = {"r/s"}, .tag = "d1", .digest = image_},
                                       [] { return std::string(); }));
    promote();
    check.after_promotion();
    return {};
  }

  std::string log() {
    std::string text;
    for (const std::string& line : events_.lines()) {
      text += line + "\n";
    }
    return text;
  }

  fakes::MemoryQueue queue_;
  fakes::RecordingEvents events_;
  FakeSearch search_;
  SecretStore secrets_;
  ports::Metrics metrics_;
  KeyedHash::Key key_{1};
  bool env_file_ = true;
  std::string image_ = k_digest;
  domain::DeploymentRequest request_;
  ports::Receipt receipt_;
  std::stop_source stop_;
};

TEST_F(ImageCheckTest, SaysNothingOfACleanImage) {
  for (const auto action : {SecretInImage::warn, SecretInImage::refuse, SecretInImage::off}) {
    EXPECT_TRUE(check(action));
  }
  EXPECT_EQ(search_.searches, 2) << "off: none";
  EXPECT_EQ(log(), "");
}

TEST_F(ImageCheckTest, WarnsBesideTheMoveAndFailsNothing) {
  search_.report->findings = {in_file("/app/config.json")};
  std::promise<void> moved;
  search_.hook = [&](const ports::JobContext&) { moved.get_future().wait(); };
  EXPECT_TRUE(check(SecretInImage::warn, [&] {
    EXPECT_EQ(log(), "");
    moved.set_value();
  }));
  EXPECT_THAT(log(), HasSubstr("WARNING Secret in the image: variable TOKEN in /app/config.json"));
  EXPECT_THAT(log(), HasSubstr("INFO Whoever gets the image can read it"));
}

TEST_F(ImageCheckTest, RefusesBeforeTheMove) {
  search_.report->findings = {in_file("/app/config.json")};
  bool moved = false;
  const auto checked = check(SecretInImage::refuse, [&] { moved = true; });
  ASSERT_FALSE(checked);
  EXPECT_FALSE(moved);
  EXPECT_EQ(checked.error().kind, ErrorKind::build_failed);
  EXPECT_EQ(checked.error().customer,
            "The image holds a secret, so it is not deployed: variable TOKEN in /app/config.json, "
            "layer 1 of 1");
}

TEST_F(ImageCheckTest, TellsOfTheWorkersOwnFileOnceForAService) {
  search_.report->findings = {in_file("/app/.env")};
  EXPECT_TRUE(check(SecretInImage::refuse));
  EXPECT_THAT(log(), HasSubstr("INFO The image holds /app/.env with secrets (TOKEN)"));
  const std::size_t lines = events_.lines().size();
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_EQ(events_.lines().size(), lines);
  env_file_ = false;
  EXPECT_FALSE(check(SecretInImage::refuse)) << "the worker wrote none: it is the repository's";
}

TEST_F(ImageCheckTest, RemembersLayersUntilTheValuesChange) {
  search_.report->found = {{k_digest, {{.secret = "variable TOKEN", .path = "/a"}}}};
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_TRUE(search_.known.empty());
  image_ = "sha256:" + std::string(64, 'b');
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_EQ(search_.known, search_.report->found);
  const auto note = queue_.recall(
      receipt_, {.service = domain::ServiceId("s1"), .what = ports::ServiceMemory::What::layers});
  EXPECT_FALSE(note->contains("npm_7Hq"));
  request_.environment[0].value = "npm_9Kd4MzB1qRt6Vn2XsCf7";
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_TRUE(search_.known.empty());
  EXPECT_EQ(queue_.recall(receipt_, {.service = domain::ServiceId("s1")}).value(), "")
      << "file times lie elsewhere";
}

TEST_F(ImageCheckTest, LooksAtAnImageWithoutFindingsOnce) {
  const auto searches = [&] {
    const int before = search_.searches;
    EXPECT_TRUE(check(SecretInImage::warn));
    return search_.searches - before;
  };
  EXPECT_EQ(searches(), 1);
  EXPECT_EQ(searches(), 0);
  image_ = "sha256:" + std::string(64, 'b');
  EXPECT_EQ(searches(), 1);
  image_ = k_digest;
  EXPECT_EQ(searches(), 0) << "as when somebody goes back to it";
  EXPECT_TRUE(metrics_.render().contains("image_searches_total{result=\"clean\"} 4"));
  request_.environment[0].value = "npm_9Kd4MzB1qRt6Vn2XsCf7";
  EXPECT_EQ(searches(), 1) << "of the new value";
  search_.report->findings = {in_file("/app/config.json")};
  image_ = "sha256:" + std::string(64, 'c');
  EXPECT_EQ(searches(), 1);
  EXPECT_EQ(searches(), 1) << "what was found is told each time";
  search_.report->findings.clear();
  search_.report->not_searched = {"layer 1 of 1: damaged"};
  image_ = "sha256:" + std::string(64, 'd');
  EXPECT_EQ(searches(), 1);
  EXPECT_EQ(searches(), 1) << "it was not searched as a whole";
}

TEST_F(ImageCheckTest, AWarningWaitsForALargeLayerOnce) {
  search_.hook = [](const ports::JobContext& job) {
    EXPECT_LE(job.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(5));
  };
  search_.report->found.clear();
  search_.report->not_searched = {"layer 1 of 1: the time is over"};
  search_.report->unreached = {k_digest};
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_EQ(search_.known, (domain::FoundInLayers{{k_digest, {}}}));
  EXPECT_TRUE(metrics_.render().contains("image_searches_total{result=\"incomplete\"} 2"));
  search_.hook = [](const ports::JobContext& job) {
    EXPECT_GT(job.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(5));
  };
  EXPECT_FALSE(check(SecretInImage::refuse));
  EXPECT_TRUE(search_.known.empty()) << "what may not be in it has to be searched";
}

TEST_F(ImageCheckTest, AlsoLooksForTheWorkersCredentials) {
  const auto own = secrets_.add({{"registry login", Secret("Zq7Xw2Vn5Tb8Yc4Mv1Kr6Pd")}});
  search_.text = "Zq7Xw2Vn5Tb8Yc4Mv1Kr6Pd npm_7Hq2LzP9xWv4Tn8RkYb3";
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_EQ(search_.sought, 2U);
}

TEST_F(ImageCheckTest, WhatIsNotSearchedIsToldOrRefused) {
  search_.report->not_searched = {"layer 1 of 1: the time is over"};
  search_.report->found.clear();
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_THAT(
      log(), HasSubstr("WARNING The image was not searched for secrets as a whole: 0 of 1 layers"));
  EXPECT_FALSE(check(SecretInImage::refuse));
  search_.report = failure(ErrorKind::unavailable, "the registry is away");
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_THAT(log(), HasSubstr("WARNING The image could not be searched for secrets"));
  EXPECT_EQ(check(SecretInImage::refuse).error().kind, ErrorKind::unavailable)
      << "may pass: tried again";
}

TEST_F(ImageCheckTest, EndsWithItsJobAndWhenTheMoveFails) {
  search_.hook = [&](const ports::JobContext& job) {
    while (!job.stop.stop_requested()) {
      std::this_thread::yield();
    }
  };
  search_.report = failure(ErrorKind::cancelled, "stopped");
  const ImageCheckRules rules{
      .action = SecretInImage::warn, .names = {}, .limit = std::chrono::seconds(30)};
  {
    ImageCheck check({&search_, queue_, secrets_, metrics_, events_}, rules, key_, true, request_,
                     receipt_,
                     {.deployment_id = request_.deployment_id, .stop = stop_.get_token()});
    EXPECT_TRUE(check.before_promotion({.digest = k_digest}, [] { return std::string(); }));
  }  // Without `after_promotion`: nothing is told.
  stop_.request_stop();
  EXPECT_TRUE(check(SecretInImage::warn));
  EXPECT_EQ(log(), "");
}

}  // namespace
}  // namespace builder::build
