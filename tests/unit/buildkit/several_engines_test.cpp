#include "adapters/buildkit/image_builder.hpp"
#include "base/text.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/memory_registry.hpp"
#include "fakes/memory_tree.hpp"
#include "fakes/no_logins.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>

namespace builder::adapters::buildkit {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// An engine that pushes one image.
class FakeSolver final : public Solver {
 public:
  explicit FakeSolver(char name) : digest_("sha256:" + std::string(64, name)) {}

  std::expected<Solved, SolveFailure> solve(const ports::JobContext& job, const SolveSpec& spec,
                                            domain::EventSink& events) override {
    specs.push_back(spec);
    events.emit(domain::StepStarted{.step = 1, .name = "[1/1] COPY a /"});
    if (waits_for_stop) {
      sleep_for(30s, job.stop);
      was_stopped = job.stop.stop_requested();
      return std::unexpected(SolveFailure{.error = {.kind = ErrorKind::cancelled, .message = "s"}});
    }
    if (fault) {
      return std::unexpected(SolveFailure{.error = *fault});
    }
    return Solved{.exporter_response = {{"containerimage.digest", digest_},
                                        {"containerimage.descriptor",
                                         base64_encode(R"({"mediaType":"m","size":3,"digest":")" +
                                                       digest_ + "\"}")}},
                  .context_bytes_sent = 5,
                  .bases = bases,
                  .tagged = bases.value_or(std::vector<domain::BaseImage>()),
                  .downloads = downloads};
  }

  Result<std::vector<domain::BaseImage>> find_bases(const ports::JobContext&,
                                                    const ports::Repository&,
                                                    const std::vector<std::string>&) override {
    return std::vector<domain::BaseImage>();
  }

  Result<EngineInfo> engine(const std::stop_token&) override { return EngineInfo(); }

  Result<EngineInfo> known_engine(const std::stop_token&) override { return EngineInfo(); }

  Result<std::uint64_t> cache_size(const ports::JobContext&) override { return 0U; }

  std::vector<SolveSpec> specs;
  std::optional<Error> fault;
  bool waits_for_stop = false;
  bool was_stopped = false;
  std::optional<std::vector<domain::BaseImage>> bases = std::vector<domain::BaseImage>();
  std::optional<domain::Downloads> downloads;

 private:
  const std::string digest_;
};

class SeveralEnginesTest : public testing::Test {
 protected:
  Result<ports::PublishResult> publish(const std::string& platforms) {
    const auto builder = make_several_engines_builder(
        {{"linux/amd64", amd64_}, {"linux/arm64", arm64_}}, {amd64_, repositories_, logins_},
        registry_, {}, ImageEpoch::off);
    ports::ImageSpec image{.service_id = domain::ServiceId("s"),
                           .context = std::make_shared<fakes::MemoryTree>(),
                           .dockerfile = "Dockerfile",
                           .repository = {"r.test/a"},
                           .tag = "one"};
    image.options.platform = platforms;
    image.more_names = {{{"r.test/a"}, "two"}, {{"r.test/b"}, "three"}};
    return builder->publish({.deployment_id = domain::DeploymentId("d"),
                             .stop = stop_.get_token(),
                             .deadline = std::chrono::steady_clock::now() + 1min},
                            image, events_);
  }

  fakes::StepRecord record_;
  fakes::FakeRegistry repositories_{record_};
  fakes::NoLogins logins_;
  fakes::MemoryRegistry registry_{false};
  FakeSolver amd64_{'a'};
  FakeSolver arm64_{'b'};
  std::stop_source stop_;
  fakes::RecordingEvents events_;
};

TEST_F(SeveralEnginesTest, EachEngineBuildsItsPlatformAndOneIndexIsWritten) {
  amd64_.bases = {{{.name = "x", .digest = "sha256:1"}}};
  arm64_.bases = {{{.name = "x", .digest = "sha256:1"}, {.name = "y", .digest = "sha256:2"}}};
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(registry_.tags.at("one"), made->image.digest);
  EXPECT_EQ(registry_.tags.at("two"), made->image.digest);
  EXPECT_EQ(registry_.tags.at("three"), made->image.digest);
  const auto index = nlohmann::json::parse(registry_.manifests.at(made->image.digest).bytes);
  EXPECT_EQ(index["manifests"][0]["digest"], "sha256:" + std::string(64, 'a'));
  EXPECT_EQ(index["manifests"][1]["platform"]["architecture"], "arm64");
  ASSERT_EQ(arm64_.specs.size(), 1U);
  EXPECT_EQ(arm64_.specs[0].frontend.at("platform"), "linux/arm64");
  EXPECT_EQ(arm64_.specs[0].exporter_attributes.at("name"), "r.test/a,r.test/b");
  EXPECT_EQ(arm64_.specs[0].exporter_attributes.at("push-by-digest"), "true");
  EXPECT_TRUE(arm64_.specs[0].is_one_of_several);
  EXPECT_EQ(made->figures.context_bytes_sent, 10U);
  EXPECT_EQ(made->bases->size(), 2U);
  EXPECT_EQ(made->tagged.size(), 2U);
  EXPECT_THAT(events_.lines(), testing::Contains(HasSubstr("[linux/arm64 1/1] COPY a /")));
}

TEST_F(SeveralEnginesTest, WhatTwoEnginesTookInTwoVersionsIsNotKnown) {
  amd64_.bases = {{{.name = "x", .digest = "sha256:1"}}};
  arm64_.bases = {{{.name = "x", .digest = "sha256:2"}}};
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_FALSE(made->bases);
  EXPECT_TRUE(made->tagged.empty());
}

TEST_F(SeveralEnginesTest, DownloadsAreThoseOfAllEngines) {
  const domain::Download a{"https://e.test/a", "sha256:1"};
  const domain::Download b{"https://e.test/b", "sha256:2"};
  EXPECT_FALSE(publish("linux/amd64,linux/arm64")->downloads);
  amd64_.downloads = {.files = {b, a}, .are_all = true};
  EXPECT_EQ(publish("linux/amd64")->downloads, amd64_.downloads);
  EXPECT_EQ(publish("linux/amd64,linux/arm64")->downloads,
            (domain::Downloads{.files = {a, b}, .are_all = false}))
      << "one does not know";
  arm64_.downloads = {.files = {a}, .are_all = true};
  EXPECT_EQ(publish("linux/amd64,linux/arm64")->downloads,
            (domain::Downloads{.files = {a, b}, .are_all = true}));
  arm64_.downloads->are_all = false;
  EXPECT_FALSE(publish("linux/amd64,linux/arm64")->downloads->are_all);
}

TEST_F(SeveralEnginesTest, OnePlatformIsBuiltAsByOneEngine) {
  ASSERT_TRUE(publish("linux/aarch64"));
  EXPECT_TRUE(amd64_.specs.empty());
  EXPECT_EQ(arm64_.specs.at(0).exporter_attributes.at("name"),
            "r.test/a:one,r.test/a:two,r.test/b:three");
  EXPECT_FALSE(arm64_.specs[0].is_one_of_several);
  ASSERT_TRUE(publish(""));
  EXPECT_EQ(amd64_.specs.size(), 1U);
  // Nobody is for the second one: the first engine makes both in one solve.
  ASSERT_TRUE(publish("linux/amd64,linux/s390x"));
  EXPECT_EQ(amd64_.specs.at(1).frontend.at("platform"), "linux/amd64,linux/s390x");
  EXPECT_EQ(registry_.puts, 0);
}

TEST_F(SeveralEnginesTest, AFailureStopsTheOthersAndNamesItsPlatform) {
  amd64_.waits_for_stop = true;
  arm64_.fault =
      Error{.kind = ErrorKind::build_failed, .message = "m", .customer = "Dockerfile:1: x"};
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::build_failed);
  EXPECT_EQ(made.error().customer, "[linux/arm64] Dockerfile:1: x");
  EXPECT_TRUE(amd64_.was_stopped);
  EXPECT_TRUE(registry_.tags.empty());
}

TEST_F(SeveralEnginesTest, AStopOfTheJobStopsAll) {
  amd64_.waits_for_stop = arm64_.waits_for_stop = true;
  stop_.request_stop();
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(amd64_.was_stopped && arm64_.was_stopped);
}

TEST_F(SeveralEnginesTest, WithoutItsIndexNothingIsPublished) {
  registry_.refusal = Error{.kind = ErrorKind::conflict, .message = "immutable"};
  const auto made = publish("linux/amd64,linux/arm64");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("pushing index"));
}

}  // namespace
}  // namespace builder::adapters::buildkit
