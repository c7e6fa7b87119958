#include "adapters/cnb/several_platforms.hpp"

#include "fakes/fake_steps.hpp"
#include "fakes/memory_registry.hpp"
#include "fakes/no_logins.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <mutex>
#include <set>

namespace builder::adapters::cnb {
namespace {

using namespace std::chrono_literals;
using ports::BuildpacksResult;
using ports::BuildpacksSpec;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

/// An engine that nobody asks.
class NoSolver final : public buildkit::Solver {
 public:
  std::expected<buildkit::Solved, buildkit::SolveFailure> solve(const ports::JobContext&,
                                                                const buildkit::SolveSpec&,
                                                                domain::EventSink&) override {
    return std::unexpected(buildkit::SolveFailure{.error = {.message = "nobody asks"}});
  }

  Result<std::vector<domain::BaseImage>> find_bases(const ports::JobContext&,
                                                    const ports::Repository&,
                                                    const std::vector<std::string>&) override {
    return std::vector<domain::BaseImage>();
  }

  Result<buildkit::EngineInfo> engine(const std::stop_token&) override {
    return buildkit::EngineInfo();
  }

  Result<buildkit::EngineInfo> known_engine(const std::stop_token&) override {
    return buildkit::EngineInfo();
  }

  Result<std::uint64_t> cache_size(const ports::JobContext&) override { return 0U; }
};

/// Puts an image of one platform under its tag, as the lifecycle does.
class FakeBuildpacks final : public ports::BuildpacksBuilder {
 public:
  explicit FakeBuildpacks(fakes::MemoryRegistry& registry) : registry_(registry) {}

  Result<BuildpacksResult> publish(const ports::JobContext& job, const BuildpacksSpec& spec,
                                   domain::EventSink& events) override {
    events.emit(domain::StepStarted{.step = 1, .name = "DETECT"});
    if (spec.platform == waits) {
      sleep_for(30s, job.stop);
      return failure(ErrorKind::cancelled, "stopped");
    }
    if (const auto fault = faults.find(spec.platform); fault != faults.end()) {
      return std::unexpected(fault->second);
    }
    const std::scoped_lock lock(mutex_);
    tags.insert(spec.tag);
    return BuildpacksResult{
        .published = {.image = {.repository = spec.repository,
                                .tag = spec.tag,
                                .digest = image_for(spec.platform, spec.tag)},
                      .figures = {.context_bytes_sent = 5, .build = 0s, .push = 0s},
                      .tagged = {{.name = "builder", .digest = "sha256:1"},
                                 {.name = "moving", .digest = "sha256:" + spec.platform}}},
        .buildpacks = {{.id = "node", .version = "1"}, {.id = spec.platform, .version = "1"}},
        .processes = {"web of " + spec.platform},
        .has_all_images = true,
        .images = {{.name = "builder", .digest = "sha256:1"},
                   {.name = "run", .digest = "sha256:" + spec.platform}}};
  }

  Result<ports::ExportedImage> load(const ports::JobContext&, const BuildpacksSpec& spec,
                                    domain::EventSink&) override {
    return ports::ExportedImage{.digest = spec.platform};
  }

  /// Gives its digest.
  std::string image_for(const std::string& platform, const std::string& tag) {
    const std::string machine = claims.empty() ? platform.substr(platform.find('/') + 1) : claims;
    const std::string config = nlohmann::json{{"os", "linux"}, {"architecture", machine}}.dump();
    const std::string digest = "sha256:" + sha256_hex(config);
    registry_.blobs[digest] = config;
    return registry_.store(
        nlohmann::json{{"config", {{"digest", digest}}}, {"for", platform}}.dump(), tag);
  }

  std::map<std::string, Error> faults;
  std::string waits;
  std::string claims;  ///< What the images say they are for; empty: the truth.
  std::set<std::string> tags;

 private:
  fakes::MemoryRegistry& registry_;
  std::mutex mutex_;
};

class SeveralPlatformsTest : public testing::Test {
 protected:
  std::unique_ptr<ports::BuildpacksBuilder> make() {
    auto one = std::make_unique<FakeBuildpacks>(registry_);
    one_ = one.get();
    return make_several_platforms(
        std::move(one),
        [this](const ports::JobContext&, const BuildpacksSpec& spec) -> Result<std::string> {
          if (away_) {
            return failure(ErrorKind::unavailable, "away");
          }
          const auto fault = cannot_.find(spec.platform);
          return fault == cannot_.end() ? std::string() : fault->second;
        },
        {solver_, registry_, repositories_, logins_});
  }

  BuildpacksSpec spec(const std::string& platforms) {
    return {.service_id = domain::ServiceId("s"),
            .platform = platforms,
            .may_leave_out = may_leave_out_,
            .repository = {"r.test/a"},
            .tag = tag_};
  }

  Result<BuildpacksResult> publish(const std::string& platforms) {
    return builder_->publish(job_, spec(platforms), events_);
  }

  fakes::StepRecord record_;
  fakes::FakeRegistry repositories_{record_};
  fakes::NoLogins logins_;
  fakes::MemoryRegistry registry_{false};
  NoSolver solver_;
  std::map<std::string, std::string> cannot_;
  bool away_ = false;
  FakeBuildpacks* one_ = nullptr;
  std::unique_ptr<ports::BuildpacksBuilder> builder_ = make();
  bool may_leave_out_ = false;
  std::string tag_ = "d1";
  const ports::JobContext job_{.deployment_id = domain::DeploymentId("d1"),
                               .stop = {},
                               .deadline = std::chrono::steady_clock::now() + 1min};
  fakes::RecordingEvents events_;
};

TEST_F(SeveralPlatformsTest, ImagesForEachBecomeOneIndexAndLeaveNoTagBehind) {
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_TRUE(made) << made.error().message;
  const std::string& digest = made->published.image.digest;
  EXPECT_EQ(made->published.image.tag, "d1");
  const auto index = nlohmann::json::parse(registry_.manifests.at(digest).bytes)["manifests"];
  ASSERT_EQ(index.size(), 2U);
  EXPECT_EQ(index[0]["platform"]["architecture"], "amd64");
  EXPECT_EQ(index[1]["platform"]["architecture"], "arm64");
  const std::string& arm64 = registry_.manifests.at(index[1]["digest"]).bytes;
  EXPECT_EQ(nlohmann::json::parse(arm64)["for"], "linux/arm64");
  EXPECT_EQ(index[1]["size"], arm64.size());
  EXPECT_THAT(one_->tags, UnorderedElementsAre("d1-for-linux-amd64", "d1-for-linux-arm64"));
  EXPECT_THAT(registry_.tags,
              UnorderedElementsAre(std::pair("d1", digest), std::pair("d1-for-linux-amd64", digest),
                                   std::pair("d1-for-linux-arm64", digest)));
  EXPECT_THAT(events_.lines(), Contains(HasSubstr("[linux/arm64] DETECT")));
}

TEST_F(SeveralPlatformsTest, WhatIsToldIsOfAll) {
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->published.figures.context_bytes_sent, 10U);
  EXPECT_THAT(made->published.tagged,
              ElementsAre(domain::BaseImage{.name = "builder", .digest = "sha256:1"}))
      << "two versions under one name are no pin";
  EXPECT_EQ(made->buildpacks.size(), 3U);
  EXPECT_THAT(made->processes, ElementsAre("web of linux/amd64"));
  EXPECT_TRUE(made->has_all_images);
  EXPECT_TRUE(made->made_here);
  EXPECT_EQ(made->platform, "linux/amd64,linux/arm64");
  EXPECT_EQ(made->images.size(), 3U);
}

TEST_F(SeveralPlatformsTest, TheFirstFailureCountsAndStopsTheOthers) {
  one_->waits = "linux/amd64";
  one_->faults["linux/arm64"] = {
      .kind = ErrorKind::build_failed, .message = "exit 1", .customer = "npm failed"};
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().customer, "[linux/arm64] npm failed");
  EXPECT_THAT(registry_.tags, IsEmpty());
}

TEST_F(SeveralPlatformsTest, WhatAFailedBuildPushedLeadsToTheImageThatRuns) {
  const std::string latest = registry_.store("{}", "latest");
  one_->faults["linux/arm64"] = {.kind = ErrorKind::build_failed, .message = "exit 1"};
  ASSERT_FALSE(publish("linux/amd64,linux/arm64"));
  if (one_->tags.empty()) {
    return;  // It was stopped before it had begun.
  }
  EXPECT_THAT(registry_.tags, UnorderedElementsAre(std::pair("latest", latest),
                                                   std::pair("d1-for-linux-amd64", latest)));
}

TEST_F(SeveralPlatformsTest, AnImageForAnotherMachineIsNoEntry) {
  one_->claims = "amd64";
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().customer,
            "The run image of the builder is for linux/amd64, not for linux/arm64; the operator "
            "can choose another");
  EXPECT_FALSE(registry_.tags.contains("d1"));
}

TEST_F(SeveralPlatformsTest, WhatTheOperatorWantsOfAllIsLeftOutWhereItCannotBe) {
  may_leave_out_ = true;
  cannot_["linux/arm64"] = "Builder b has no variant";
  const auto made = publish("linux/arm64,linux/amd64");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(one_->tags, ElementsAre("d1")) << "an image, no index";
  EXPECT_THAT(registry_.manifests.at(registry_.tags.at("d1")).bytes, HasSubstr("linux/amd64"));
  EXPECT_THAT(events_.lines(),
              Contains(HasSubstr("No image is made for linux/arm64: Builder b has no variant")));
  cannot_["linux/amd64"] = "no";
  EXPECT_EQ(publish("linux/arm64,linux/amd64").error().customer, "Builder b has no variant");
  away_ = true;
  EXPECT_EQ(publish("linux/arm64,linux/amd64").error().kind, ErrorKind::unavailable);
  may_leave_out_ = false;
  EXPECT_TRUE(publish("linux/arm64,linux/amd64")) << "the customer named them";
}

TEST_F(SeveralPlatformsTest, WhereTagsNeverMoveAnEarlierAttemptsImagesAreTaken) {
  registry_.tags_never_move = true;
  const std::string before = one_->image_for("linux/arm64", "d1-for-linux-arm64");
  one_->faults["linux/arm64"] = {
      .kind = ErrorKind::conflict,
      .message =
          "TAG_INVALID: The image tag 'x' already exists in the 'y' repository and cannot "
          "be overwritten because the tag is immutable."};
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(registry_.tags.at("d1"), made->published.image.digest);
  EXPECT_EQ(registry_.tags.at("d1-for-linux-arm64"), before) << "it stays";
  EXPECT_FALSE(made->made_here);
  EXPECT_THAT(events_.lines(), Not(Contains(HasSubstr("warning"))));
  one_->faults["linux/amd64"] = {.kind = ErrorKind::conflict, .message = "the network is shared"};
  EXPECT_EQ(publish("linux/amd64,linux/arm64").error().kind, ErrorKind::conflict);
}

TEST_F(SeveralPlatformsTest, ALongTagStaysOne) {
  tag_ = std::string(128, 'a');
  ASSERT_TRUE(publish("linux/amd64,linux/arm64"));
  for (const std::string& tag : one_->tags) {
    EXPECT_LE(tag.size(), 128U);
  }
  EXPECT_EQ(one_->tags.size(), 2U);
}

TEST_F(SeveralPlatformsTest, AnEngineTakesTheImageForOne) {
  EXPECT_THAT(builder_->load(job_, spec("linux/amd64,linux/arm64"), events_).error().customer,
              HasSubstr("--push REF"));
  EXPECT_EQ(builder_->load(job_, spec("linux/arm64"), events_)->digest, "linux/arm64");
  may_leave_out_ = true;
  EXPECT_EQ(builder_->load(job_, spec("linux/arm64,linux/amd64"), events_)->digest, "linux/amd64");
  cannot_["linux/amd64"] = "no";
  EXPECT_EQ(builder_->load(job_, spec("linux/arm64,linux/amd64"), events_)->digest, "linux/arm64");
}

}  // namespace
}  // namespace builder::adapters::cnb
