#include "work/job_runner.hpp"

#include "build/base_pins.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "fakes/fake_attestations.hpp"
#include "fakes/fake_history.hpp"
#include "fakes/fake_reporter.hpp"
#include "fakes/fake_sboms.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/job_settings.hpp"
#include "fakes/memory_queue.hpp"
#include "fakes/no_observer.hpp"
#include "fakes/thread_limit.hpp"
#include "ports/build_limits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

namespace builder::work {
namespace {

using fakes::FakeReporter;
using ports::DeploymentStatus;
using ports::StopReason;
using namespace std::chrono_literals;

using Statuses = std::vector<DeploymentStatus>;

class JobRunnerTest : public testing::Test {
 protected:
  JobRunnerTest() {
    auto tree = std::make_shared<fakes::MemoryTree>();
    tree->add_file("Dockerfile", "FROM busybox\n");
    source_.tree = tree;
    request_.deployment_id = domain::DeploymentId("d1");
    request_.service_id = domain::ServiceId("s1");
    request_.branch = "main";
    request_.repository_name = "octo/hello";
  }

  Outcome run() {
    queue_.push(R"({"deploymentId":"d1","serviceId":"s1"})");
    const auto job = queue_.take(0ms, {}).value();
    JobRunner runner(
        {source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_}, settings_,
        secrets_, metrics_, fakes::null_log(), abort_.get_token());
    return run(runner, *job);
  }

  /// As a worker does it.
  Outcome run(JobRunner& runner, const ports::TakenJob& job) {
    const EndedRun ended = runner.run(request_, job, cancellation_, observer_);
    if (ended.leftovers) {
      runner.clean_up(*ended.leftovers);
    }
    return ended.outcome;
  }

  [[nodiscard]] Statuses statuses() const { return reporter_.statuses("d1"); }

  [[nodiscard]] FakeReporter::Post last() const { return reporter_.posts().back(); }

  fakes::NoObserver observer_;
  fakes::StepRecord record_;
  fakes::FakeSource source_{record_};
  fakes::FakeImageBuilder image_{record_};
  fakes::FakeBuildpacks buildpacks_{record_};
  fakes::FakeRegistry registry_{record_};
  FakeReporter reporter_;
  fakes::MemoryQueue queue_;
  fakes::FakeHistory history_;
  SecretStore secrets_;
  ports::Metrics metrics_;
  JobSettings settings_ = fakes::quick_job_settings();
  domain::DeploymentRequest request_;
  ports::JobCancellation cancellation_;
  std::stop_source abort_;
};

TEST_F(JobRunnerTest, BuildsPushesPromotesAndReports) {
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::builded}));
  EXPECT_EQ(last().image_uri, "registry.test/deployra/s1");
  EXPECT_EQ(image_.built.repository.uri, "registry.test/deployra/s1");
  EXPECT_EQ(image_.built.tag, "d1");
  EXPECT_TRUE(reporter_.log_text().contains("hello from the build"));
  const auto steps = record_.steps();
  const auto at = [&](const std::string& step) {
    return std::find(steps.begin(), steps.end(), step) - steps.begin();
  };
  EXPECT_LT(at("build"), at("push d1"));
  EXPECT_LT(at("push d1"), at("promote d1"));
  EXPECT_LT(at("promote d1"), at("clean_up"));
}

TEST_F(JobRunnerTest, TheLastRowsSayHowLargeTheImageIsAndWhatIsNew) {
  registry_.layers = {{"sha256:a", 2'000'000}, {"sha256:b", 500}};
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_TRUE(reporter_.log_text().contains("size     2.0 MB compressed\n"))
      << reporter_.log_text();

  registry_.layers = {{"sha256:a", 2'000'000}, {"sha256:c", 800}};
  request_.deployment_id = domain::DeploymentId("d2");
  queue_.push(R"({"deploymentId":"d2","serviceId":"s1"})");
  const auto job = queue_.take(0ms, {}).value();
  ASSERT_TRUE(job);
  JobRunner runner({source_, image_, buildpacks_, registry_, reporter_, queue_}, settings_,
                   secrets_, metrics_, fakes::null_log(), {});
  ports::JobCancellation cancellation;
  EXPECT_EQ(runner.run(request_, *job, cancellation, observer_).outcome, Outcome::builded);
  EXPECT_TRUE(reporter_.log_text().contains("size     2.0 MB compressed, 800 B new\n"))
      << reporter_.log_text();
}

TEST_F(JobRunnerTest, BuildsWithBuildpacksWhereThereIsNoDockerfile) {
  auto tree = std::make_shared<fakes::MemoryTree>();
  tree->add_file("package.json", "{}");
  source_.tree = tree;
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_TRUE(record_.has("buildpacks d1"));
  EXPECT_TRUE(record_.has("promote d1"));
  EXPECT_FALSE(record_.has("build"));
  EXPECT_EQ(buildpacks_.built.commit, std::string(40, 'a'));
  EXPECT_TRUE(reporter_.log_text().contains("acme/node 1.0, acme/procfile 2.0; process types: web"))
      << reporter_.log_text();
}

TEST_F(JobRunnerTest, SaysWhenAnImageHasNothingToStart) {
  auto tree = std::make_shared<fakes::MemoryTree>();
  tree->add_file("package.json", "{}");
  source_.tree = tree;
  buildpacks_.processes.clear();
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_TRUE(reporter_.log_text().contains("add a Procfile")) << reporter_.log_text();
}

TEST_F(JobRunnerTest, ReportsADigestWhenMoreImagesAreKept) {
  settings_.keep_images = 3;
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_EQ(last().image_uri, "registry.test/deployra/s1@sha256:d");
}

TEST_F(JobRunnerTest, ReportsTheCustomersLineOfAFailedBuild) {
  image_.hook = fakes::failing(
      {.kind = ErrorKind::build_failed, .message = "m", .customer = "Dockerfile:2: RUN failed"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::failed}));
  EXPECT_EQ(last().error, "Dockerfile:2: RUN failed");
  EXPECT_FALSE(record_.has("push d1"));
}

TEST_F(JobRunnerTest, AFailureOfOursDoesNotShowItsDetailsToTheCustomer) {
  image_.push_hook = fakes::failing({.kind = ErrorKind::internal, .message = "10.0.0.7 said no"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_FALSE(last().error.contains("10.0.0.7"));
  EXPECT_FALSE(last().error.empty());
}

TEST_F(JobRunnerTest, AFailureThatMayPassIsTriedAgainAndTheCustomerIsTold) {
  int calls = 0;
  image_.push_hook = [&](const ports::JobContext&) -> std::optional<Error> {
    return ++calls < 3 ? std::optional(Error{.kind = ErrorKind::unavailable,
                                             .message = "10.0.0.7 said no",
                                             .customer = "The registry is away (no fault of "
                                                         "yours); please contact the operator"})
                       : std::nullopt;
  };
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::builded}));
  EXPECT_TRUE(reporter_.log_text().contains(
      "The registry is away (no fault of yours). Trying again (attempt 3 of 3)"))
      << reporter_.log_text();
}

TEST_F(JobRunnerTest, AFailureThatDoesNotPassEndsAfterAllAttempts) {
  source_.hook = fakes::failing(
      {.kind = ErrorKind::timed_out, .message = "m", .customer = "github.com does not answer"});
  settings_.help_url = "https://help.test";
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"fetch", "fetch", "fetch"}));
  EXPECT_EQ(last().error, "github.com does not answer");
  EXPECT_TRUE(reporter_.log_text().contains("\nHelp: https://help.test/timed_out\n"));
}

TEST_F(JobRunnerTest, AStepThatRepeatsItselfLeavesTheRunOneAttemptLess) {
  int calls = 0;
  source_.hook = [&](const ports::JobContext& job) -> std::optional<Error> {
    if (++calls == 1) {
      EXPECT_EQ(job.retries->take(), 2);
      ++calls;
    }
    return Error{.kind = ErrorKind::unavailable, .message = "m", .customer = "away"};
  };
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_EQ(calls, domain::k_most_attempts);
  EXPECT_TRUE(reporter_.log_text().contains("Trying again (attempt 3 of 3)"))
      << reporter_.log_text();
}

TEST_F(JobRunnerTest, WhatTheCustomerHasToMendIsNotTriedAgain) {
  for (const ErrorKind kind : {ErrorKind::denied, ErrorKind::not_found, ErrorKind::build_failed,
                               ErrorKind::invalid_input}) {
    source_.hook = fakes::failing({.kind = kind, .message = "m", .customer = "mend it"});
    const auto before = record_.steps().size();
    request_.deployment_id = domain::DeploymentId("d" + std::to_string(static_cast<int>(kind)));
    queue_.push(R"({"deploymentId":")" + request_.deployment_id.str() + R"(","serviceId":"s1"})");
    const auto job = queue_.take(0ms, {}).value();
    JobRunner runner(
        {source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_}, settings_,
        secrets_, metrics_, fakes::null_log(), {});
    ports::JobCancellation cancellation;
    runner.run(request_, *job, cancellation, observer_);
    EXPECT_EQ(record_.steps().size(), before + 1) << to_string(kind);
  }
}

Error of_the_operator(ErrorKind kind = ErrorKind::denied) {
  return Error{.kind = kind, .message = "AccessDenied"}.for_operator("AWS_ACCESS_KEY_ID");
}

class OperatorTest : public JobRunnerTest, public testing::WithParamInterface<ErrorKind> {};

TEST_P(OperatorTest, ItsFaultSendsTheJobBackAtOnceAndTheCustomerIsTold) {
  image_.push_hook = fakes::failing(of_the_operator(GetParam()));
  EXPECT_EQ(run(), Outcome::blocked);
  EXPECT_EQ(std::ranges::count(record_.steps(), "push d1"), 1) << "not tried in place";
  EXPECT_EQ(std::ranges::count(statuses(), DeploymentStatus::failed), 0);
  EXPECT_TRUE(last().text.contains("starts again by itself")) << last().text;
}

INSTANTIATE_TEST_SUITE_P(Kinds, OperatorTest,
                         testing::Values(ErrorKind::denied, ErrorKind::unavailable,
                                         ErrorKind::internal),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_F(JobRunnerTest, ASourceThatWorkDirDoesNotTakeGoesBack) {
  source_.hook = fakes::failing({.kind = ErrorKind::invalid_input, .message = "m"});
  settings_.steps.check_work_dir = [] { return failure(ErrorKind::internal, "no space"); };
  EXPECT_EQ(run(), Outcome::blocked);
}

TEST_F(JobRunnerTest, NothingButTheSourceIsTouchedBeforeThePlatformWantsTheBuild) {
  reporter_.fail_next(ErrorKind::denied, 100);
  EXPECT_EQ(run(), Outcome::refused);
  EXPECT_EQ(registry_.ensured, 0);
  EXPECT_FALSE(record_.has("build"));
}

TEST_F(JobRunnerTest, ATagThatMayNotMoveHoldsWhatAnEarlierAttemptPushed) {
  image_.push_hook = fakes::failing({.kind = ErrorKind::conflict, .message = "tag invalid"});
  registry_.there = "sha256:there";
  settings_.image_reference = ImageReference::digest;
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_TRUE(last().image_uri.ends_with("@sha256:there")) << last().image_uri;
}

TEST_F(JobRunnerTest, AFetchThatTakesTooLongIsSaidAsSuch) {
  settings_.steps.fetch_timeout = 0s;
  source_.hook = fakes::failing({.kind = ErrorKind::timed_out, .message = "deadline"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_TRUE(last().error.contains("Fetching the repository took longer than")) << last().error;
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"fetch"}));
}

TEST_F(JobRunnerTest, ASilentBuildIsStopped) {
  settings_.silence_timeout = 1s;
  settings_.help_url = "https://help.test";
  image_.hook = fakes::until_stopped();
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_TRUE(reporter_.log_text().contains("\nHelp: https://help.test/silent#build-silent\n"));
  EXPECT_TRUE(last().error.contains("no sign of life for 1 second and was stopped"))
      << last().error;
  EXPECT_TRUE(last().error.contains("[1/1] RUN true")) << last().error;
}

TEST_F(JobRunnerTest, ASilentBuildThatComputesIsLeftAlone) {
  class Counter final : public ports::BuildLimits {
   public:
    std::unique_ptr<ports::WatchedSolve> watch(const domain::DeploymentId&) override {
      return nullptr;
    }

    [[nodiscard]] std::optional<std::chrono::nanoseconds> cpu_time(
        const domain::DeploymentId&) const override {
      return ++asked * 1s;
    }

    mutable std::atomic<int> asked = 0;
  } counter;

  settings_.silence_timeout = 1s;
  image_.hook = [&](const ports::JobContext& job) -> std::optional<Error> {
    while (counter.asked < 2 && !job.stop.stop_requested()) {
      std::this_thread::sleep_for(10ms);
    }
    return std::nullopt;
  };
  queue_.push(R"({"deploymentId":"d1","serviceId":"s1"})");
  const auto job = queue_.take(0ms, {}).value();
  JobRunner runner({source_, image_, buildpacks_, registry_, reporter_, queue_, &counter},
                   settings_, secrets_, metrics_, fakes::null_log(), {});
  run(runner, *job);
  EXPECT_EQ(statuses().back(), DeploymentStatus::builded);
}

TEST_F(JobRunnerTest, FilesKeepTheirTimesOverTheDeploymentsOfAService) {
  const auto deploy = [this](const std::string& id, const std::string& service,
                             const std::string& content) {
    auto tree = std::make_shared<fakes::MemoryTree>();
    tree->add_file("Dockerfile", "FROM busybox\n");
    tree->add_file("page", content);
    source_.tree = tree;
    request_.deployment_id = domain::DeploymentId(id);
    request_.service_id = domain::ServiceId(service);
    queue_.push(R"({"deploymentId":")" + id + R"(","serviceId":")" + service + "\"}");
    const auto job = queue_.take(0ms, {}).value();
    JobRunner runner(
        {source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_}, settings_,
        secrets_, metrics_, fakes::null_log(), {});
    run(runner, *job);
    return std::pair{image_.built.context->stat("Dockerfile")->modified,
                     image_.built.context->stat("page")->modified};
  };
  const std::int64_t second = 1'000'000'000;
  source_.committed_at = std::chrono::sys_seconds(std::chrono::seconds(1'750'000'000));
  const auto first = deploy("e1", "s1", "1");
  EXPECT_EQ(first.second.value() / second, 1'750'000'000);
  const auto then = deploy("e2", "s1", "2");
  EXPECT_EQ(then.first, first.first);
  EXPECT_EQ(then.second.value() / second, 1'750'000'001);
  EXPECT_EQ(deploy("e3", "s1", "2"), then);
  EXPECT_EQ(deploy("e4", "s2", "2").second.value() / second, 1'750'000'000) << "another service";
}

class ReuseTest : public JobRunnerTest {
 protected:
  ReuseTest() {
    settings_.steps.reuse_images = std::chrono::hours(24);
    settings_.steps.knobs.allowed = {"force", "no_cache"};
    image_.bases = std::vector<domain::BaseImage>{{k_base, "sha256:b1"}};
    image_.current_bases = {{k_base, "sha256:b1"}};
    registry_.there = "sha256:d";
  }

  /// What the deployment did after its source was fetched.
  std::vector<std::string> deploy(const std::string& id, const std::string& content = "1") {
    auto tree = std::make_shared<fakes::MemoryTree>();
    tree->add_file("Dockerfile", "FROM busybox\nCOPY page /\n");
    tree->add_file("page", content);
    source_.tree = tree;
    request_.deployment_id = domain::DeploymentId(id);
    queue_.push(R"({"deploymentId":")" + id + R"(","serviceId":"s1"})");
    const auto job = queue_.take(0ms, {}).value();
    const std::size_t before = record_.steps().size();
    JobRunner runner(
        {source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_}, settings_,
        secrets_, metrics_, fakes::null_log(), {});
    EXPECT_EQ(run(runner, *job), Outcome::builded);
    std::vector<std::string> steps = record_.steps();
    steps.erase(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(before));
    std::erase_if(steps, [](const std::string& step) {
      return step.starts_with("fetch") || step == "find_bases" || step == "clean_up";
    });
    return steps;
  }

  using Steps = std::vector<std::string>;

  static Steps built(const std::string& id) { return {"build", "push " + id, "promote " + id}; }

  static Steps reused(const std::string& id) {
    return {"tag " + id + " sha256:d", "promote " + id};
  }

  static constexpr const char* k_base = "docker.io/library/busybox:latest";
};

TEST_F(ReuseTest, WhatWouldBeTheSameIsNotBuilt) {
  EXPECT_EQ(deploy("e1"), built("e1"));
  EXPECT_EQ(deploy("e2"), reused("e2"));
  EXPECT_TRUE(reporter_.log_text().contains("using that image again"));
  EXPECT_EQ(last().image_uri, "registry.test/deployra/s1");
  EXPECT_EQ(deploy("e3", "2"), built("e3"));
  EXPECT_EQ(deploy("e4", "1"), reused("e4")) << "a rollback";
}

TEST_F(ReuseTest, AMovedBaseIsBuiltOnAndTold) {
  deploy("e1");
  image_.current_bases = {{k_base, "sha256:b2"}};
  image_.bases = std::vector<domain::BaseImage>{{k_base, "sha256:b2"}};
  EXPECT_EQ(deploy("e2"), built("e2"));
  EXPECT_TRUE(reporter_.log_text().contains("The base image busybox:latest has moved"));
  EXPECT_EQ(deploy("e3"), reused("e3"));
}

TEST_F(ReuseTest, WhatIsNotKnownIsBuilt) {
  deploy("e1");
  image_.current_bases.clear();
  EXPECT_EQ(deploy("e2"), built("e2")) << "a base that cannot be looked up";
  image_.current_bases = {{k_base, "sha256:b1"}};
  registry_.there = "sha256:other";
  EXPECT_EQ(deploy("e3"), (Steps{"tag e3 sha256:d", "build", "push e3", "promote e3"}))
      << "an image that is gone";
  registry_.there = "sha256:d";
  request_.environment = {{"DEPLOYRA_BUILD_FORCE", "true"}};
  EXPECT_EQ(deploy("e4"), built("e4"));
  request_.environment = {{"DEPLOYRA_BUILD_NO_CACHE", "true"}};
  EXPECT_EQ(deploy("e4b"), built("e4b"));
  request_.environment.clear();
  EXPECT_EQ(deploy("e5"), reused("e5"));
  settings_.steps.reuse_images = {};
  EXPECT_EQ(deploy("e6"), built("e6"));
}

TEST_F(ReuseTest, AnImageOfAnotherPolicyIsNotUsedAgain) {
  deploy("e1");
  settings_.steps.policy = "one";
  EXPECT_EQ(deploy("e2"), built("e2"));
  EXPECT_EQ(deploy("e3"), reused("e3"));
  settings_.steps.policy = "two";
  EXPECT_EQ(deploy("e4"), built("e4"));
}

TEST_F(ReuseTest, ABuildThatTookSomethingElseIsNotRemembered) {
  image_.bases.reset();
  deploy("e1");
  EXPECT_EQ(deploy("e2"), built("e2"));
}

class PinnedBasesTest : public ReuseTest {
 protected:
  PinnedBasesTest() {
    settings_.steps.reuse_images = {};
    settings_.steps.base_images = domain::BaseImages::pinned;
    settings_.steps.renew_base_images = std::chrono::hours(24);
    settings_.steps.knobs.allowed.emplace("base_images");
    registry_has(k_old);
  }

  /// Its tag; what it had before is there by its digest.
  void registry_has(const std::string& digest) {
    image_.current_bases[k_base] = digest;
    image_.current_bases[k_base + ("@" + digest)] = digest;
    engine_takes(digest);
  }

  void engine_takes(const std::string& digest) {
    image_.tagged = {{k_base, digest}};
    image_.bases = image_.tagged;
  }

  [[nodiscard]] ports::ImagePins pins() const { return image_.built.options.pins; }

  /// All pins are as old as they may become.
  void age() {
    std::string& left = queue_.left(
        {.service = domain::ServiceId("s1"), .what = ports::ServiceMemory::What::bases});
    build::BasePins older;
    const auto pins = build::BasePins::read(left);
    for (const auto& [name, pin] : pins.all()) {
      older.renew({name, pin.digest}, pin.since - settings_.steps.renew_base_images);
    }
    left = older.write();
  }

  const std::string k_old = "sha256:" + std::string(64, 'a');
  const std::string k_new = "sha256:" + std::string(64, 'b');
};

TEST_F(PinnedBasesTest, LaterBuildsTakeWhatTheFirstOneTook) {
  deploy("e1");
  EXPECT_TRUE(pins().empty());
  registry_has(k_new);
  engine_takes(k_old);  // As it is told.
  deploy("e2", "2");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_old}}));
  EXPECT_TRUE(
      reporter_.log_text().contains("Pinned base images: busybox:latest at sha256:aaaaaaaaaaaa ("
                                    "DEPLOYRA_BUILD_NO_CACHE=true"));
  EXPECT_FALSE(reporter_.log_text().contains("has moved"));
}

TEST_F(PinnedBasesTest, AreTheLatestWhereTheCustomerSaysSo) {
  deploy("e1");
  registry_has(k_new);
  request_.environment = {{"DEPLOYRA_BUILD_BASE_IMAGES", "latest"}};
  deploy("e2", "2");
  EXPECT_TRUE(pins().empty());
  request_.environment.clear();
  engine_takes(k_old);
  deploy("e3", "3");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_old}})) << "it is still known";
  settings_.steps.base_images = domain::BaseImages::latest;
  deploy("e4", "4");
  EXPECT_TRUE(pins().empty());
  request_.environment = {{"DEPLOYRA_BUILD_BASE_IMAGES", "pinned"}};
  deploy("e5", "5");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_old}}));
}

TEST_F(PinnedBasesTest, AreRenewedByWhoeverBuildsEverythingAnew) {
  deploy("e1");
  registry_has(k_new);
  request_.environment = {{"DEPLOYRA_BUILD_NO_CACHE", "true"}};
  deploy("e2", "2");
  EXPECT_TRUE(pins().empty());
  EXPECT_TRUE(reporter_.log_text().contains(
      "The base image busybox:latest has moved: from sha256:aaaaaaaaaaaa to sha256:bbbbbbbbbbbb "
      "(no_cache takes what its registry has)"));
  request_.environment.clear();
  deploy("e3", "3");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_new}}));
}

TEST_F(PinnedBasesTest, GiveWayWhenTheyAreGoneAndStayWhenARegistryIsAway) {
  deploy("e1");
  image_.current_bases.clear();
  deploy("e2", "2");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_old}})) << "nothing answers";
  registry_has(k_new);
  deploy("e3", "3");
  EXPECT_TRUE(pins().empty());
  EXPECT_TRUE(
      reporter_.log_text().contains("to sha256:bbbbbbbbbbbb (its registry has lost the former)"));
}

TEST_F(PinnedBasesTest, GiveWayWhenTheyAreOld) {
  deploy("e1");
  registry_has(k_new);
  age();
  deploy("e2", "2");
  EXPECT_TRUE(pins().empty());
  EXPECT_TRUE(reporter_.log_text().contains("to sha256:bbbbbbbbbbbb (it was pinned on 20"));
  engine_takes(k_new);
  deploy("e3", "3");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_new}}));
  age();
  settings_.steps.renew_base_images = {};
  deploy("e4", "4");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_new}})) << "never by their age";
}

TEST_F(PinnedBasesTest, OtherNamesAreTakenAsTheyAreAndThenPinned) {
  deploy("e1");
  const std::string other = "docker.io/library/busybox:2";
  image_.tagged = {{other, k_new}};
  deploy("e2", "2");
  EXPECT_FALSE(reporter_.log_text().contains("has moved"));
  image_.current_bases[other + "@" + k_new] = k_new;
  deploy("e3", "3");
  EXPECT_EQ(pins(), (ports::ImagePins{{k_base, k_old}, {other, k_new}}));
}

TEST_F(PinnedBasesTest, AnEngineThatCannotBeToldIsNamed) {
  deploy("e1");
  registry_has(k_new);  // And takes it.
  deploy("e2", "2");
  EXPECT_TRUE(reporter_.log_text().contains("(the engine cannot be told to stay with it)"));
}

TEST_F(PinnedBasesTest, AnImageOfPinnedBasesIsUsedAgain) {
  settings_.steps.reuse_images = std::chrono::hours(24);
  deploy("e1");
  registry_has(k_new);
  EXPECT_EQ(deploy("e2"), reused("e2")) << "its tag moved, and nothing would take that";
  image_.current_bases.erase(k_base + ("@" + k_old));
  EXPECT_EQ(deploy("e3"), built("e3"));
  EXPECT_TRUE(reporter_.log_text().contains("(its registry has lost the former)"));
  EXPECT_EQ(deploy("e4"), reused("e4"));
}

TEST_F(PinnedBasesTest, ADueBaseThatHasNotMovedIsPinnedAnewWithoutABuild) {
  settings_.steps.reuse_images = std::chrono::hours(24);
  deploy("e1");
  age();
  EXPECT_EQ(deploy("e2"), reused("e2"));
  registry_has(k_new);
  EXPECT_EQ(deploy("e3"), reused("e3"));
  age();
  EXPECT_EQ(deploy("e4"), built("e4"));
}

class ResumeTest : public JobRunnerTest {
 protected:
  /// A worker that came as far as this checkpoint was lost.
  Outcome run_after(domain::Checkpoint checkpoint) {
    queue_.push(R"({"deploymentId":"d1","serviceId":"s1"})");
    const auto first = queue_.take(0ms, {}).value();
    EXPECT_TRUE(queue_.record(first->receipt, checkpoint));
    EXPECT_TRUE(queue_.requeue(first->receipt));
    const auto job = queue_.take(0ms, {}).value();
    JobRunner runner({source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr,
                      &history_, nullptr, &attestations_, describes_ ? &sboms_ : nullptr},
                     settings_, secrets_, metrics_, fakes::null_log(), {});
    return run(runner, *job);
  }

  fakes::FakeAttestations attestations_;
  fakes::FakeSboms sboms_;
  bool describes_ = false;

  const std::string uri_ = "registry.test/deployra/s1";
  const std::string commit_ = std::string(40, 'b');
};

TEST_F(ResumeTest, BuildsTheSameCommit) {
  EXPECT_EQ(run_after({.commit = commit_}), Outcome::builded);
  EXPECT_EQ(record_.steps().front(), "fetch " + commit_);
}

TEST_F(ResumeTest, ACommitThatIsGoneGivesWayToTheBranch) {
  source_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    return record_.has("fetch")
               ? std::nullopt
               : std::optional(Error{.kind = ErrorKind::not_found, .message = "no such commit"});
  };
  EXPECT_EQ(run_after({.commit = commit_}), Outcome::builded);
  EXPECT_TRUE(record_.has("fetch"));
}

TEST_F(ResumeTest, PushesWhatTheEngineStillHas) {
  image_.image_id = "sha256:i";
  EXPECT_EQ(run_after({.image_id = "sha256:i"}), Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"push d1", "promote d1", "clean_up"}));
}

TEST_F(ResumeTest, BuildsAgainWhatTheEngineLost) {
  EXPECT_EQ(run_after({.commit = commit_, .image_id = "sha256:i"}), Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"fetch " + commit_, "build", "push d1",
                                                       "promote d1", "clean_up"}));
}

TEST_F(ResumeTest, OnlyMovesTheTagOfWhatWasPushed) {
  EXPECT_EQ(run_after({.repository = uri_, .digest = "sha256:p"}), Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"promote d1", "clean_up"}));
}

TEST_F(ResumeTest, OnlyReportsWhatWasPromoted) {
  EXPECT_EQ(run_after({.repository = uri_, .digest = "sha256:p", .promoted = true}),
            Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"clean_up"}));
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::builded}));
}

TEST_F(ResumeTest, RequiredProvenanceIsOnlyOfWhatWasBuiltHere) {
  settings_.steps.papers.rule = domain::AttestationRule::required;
  attestations_.hook = [this](const ports::JobContext&) {
    record_.add("attest");
    return Result<>();
  };
  const std::vector<std::string> all{"fetch " + commit_, "build",      "push d1",
                                     "attest",           "promote d1", "clean_up"};
  EXPECT_EQ(run_after({.commit = commit_, .repository = uri_, .digest = "sha256:p"}),
            Outcome::builded);
  EXPECT_EQ(record_.steps(), all);
}

TEST_F(ResumeTest, RequiredProvenanceLetsNothingBePushedThatAnotherBuilt) {
  settings_.steps.papers.rule = domain::AttestationRule::required;
  image_.image_id = "sha256:i";
  EXPECT_EQ(run_after({.commit = commit_, .image_id = "sha256:i"}), Outcome::builded);
  EXPECT_TRUE(record_.has("build"));
}

TEST_F(ResumeTest, RequiredProvenanceThatIsThereIsEnough) {
  settings_.steps.papers.rule = domain::AttestationRule::required;
  attestations_.there = true;
  EXPECT_EQ(run_after({.repository = uri_, .digest = "sha256:p"}), Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"promote d1", "clean_up"}));
}

TEST_F(ResumeTest, WithoutProvenanceAnImageIsDeployedAndThatIsTold) {
  settings_.steps.papers.rule = domain::AttestationRule::on;
  EXPECT_EQ(run_after({.repository = uri_, .digest = "sha256:p"}), Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"promote d1", "clean_up"}));
  EXPECT_TRUE(reporter_.log_text().contains("The image has no provenance")) << reporter_.log_text();
  EXPECT_TRUE(attestations_.attached.empty());
}

TEST_F(ResumeTest, ProvenanceTellsDownloadsWithoutSecrets) {
  settings_.steps.papers.rule = domain::AttestationRule::required;
  secrets_.add_forever({{"TOKEN", Secret("npm_7Hq2LzP9xWv4Tn8RkYb3")}});
  image_.downloads = {
      .files = {{"https://e.test/npm_7Hq2LzP9xWv4Tn8RkYb3/a", "sha256:" + std::string(64, 'a')}},
      .are_all = true};
  EXPECT_EQ(run_after({}), Outcome::builded);
  ASSERT_FALSE(attestations_.texts.empty());
  EXPECT_TRUE(attestations_.texts.front().contains(R"("downloads":"complete")"));
  EXPECT_TRUE(attestations_.texts.front().contains("https://e.test/"));
  EXPECT_FALSE(attestations_.texts.front().contains("npm_7Hq2"));
}

TEST_F(ResumeTest, ProvenanceThatCouldNotBeAttachedIsTriedAgainWithoutABuild) {
  settings_.steps.papers.rule = domain::AttestationRule::required;
  int calls = 0;
  attestations_.hook = [&](const ports::JobContext&) {
    return ++calls == 1 ? failure(ErrorKind::unavailable, "away") : Result<>();
  };
  EXPECT_EQ(run_after({}), Outcome::builded);
  EXPECT_EQ(calls, 2);
  const auto steps = record_.steps();
  EXPECT_EQ(std::ranges::count(steps, "build"), 1);
}

TEST_F(ResumeTest, WhatIsInTheImageIsFoundOutBehindTheEnd) {
  settings_.steps.papers.rule = domain::AttestationRule::on;
  describes_ = true;
  sboms_.hook = [this](const ports::JobContext&) -> Result<> {
    EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::builded}));
    record_.add("sbom");
    return failure(ErrorKind::conflict, "the scanner crashed");
  };
  EXPECT_EQ(run_after({.commit = commit_}), Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"fetch " + commit_, "build", "push d1",
                                                       "promote d1", "sbom", "clean_up"}));
  EXPECT_TRUE(metrics_.render().contains(R"(image_sboms_total{result="failed"} 1)"));
}

TEST_F(ResumeTest, BuildsAgainWhatTheRegistryLost) {
  registry_.promote_hook = [&](const ports::JobContext&) -> std::optional<Error> {
    return record_.has("build")
               ? std::nullopt
               : std::optional(Error{.kind = ErrorKind::not_found, .message = "no such manifest"});
  };
  EXPECT_EQ(run_after({.repository = uri_, .digest = "sha256:p"}), Outcome::builded);
  EXPECT_TRUE(record_.has("build"));
}

TEST_F(ResumeTest, AnotherRegistrysDigestIsNotOurs) {
  EXPECT_EQ(run_after({.repository = "old.test/deployra/s1", .digest = "sha256:p"}),
            Outcome::builded);
  EXPECT_TRUE(record_.has("build"));
}

TEST_F(ResumeTest, ARepetitionInPlaceBuildsNothingTwice) {
  int calls = 0;
  registry_.promote_hook = [&](const ports::JobContext&) -> std::optional<Error> {
    return ++calls < 3 ? std::optional(Error{.kind = ErrorKind::unavailable, .message = "m"})
                       : std::nullopt;
  };
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_EQ(record_.steps(), (std::vector<std::string>{"fetch", "build", "push d1", "promote d1",
                                                       "promote d1", "promote d1", "clean_up"}));
}

TEST_F(ResumeTest, ACancelledDeploymentIsNotResumed) {
  reporter_.answer.deployment_completed = true;
  EXPECT_EQ(run_after({.repository = uri_, .digest = "sha256:p"}), Outcome::cancelled);
  EXPECT_FALSE(record_.has("promote d1"));
}

TEST_F(JobRunnerTest, ADeploymentThatEndedBeforeIsCancelledAgainAndNotBuilt) {
  reporter_.answer.deployment_completed = true;
  source_.hook = fakes::until_stopped();
  EXPECT_EQ(run(), Outcome::cancelled);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::cancelled}));
  EXPECT_FALSE(record_.has("build"));
  EXPECT_EQ(reporter_.log_text(), "") << "nothing of a build that never was";
}

TEST_F(JobRunnerTest, ADeletedServiceIsNotBuilt) {
  reporter_.answer.service_deleted = true;
  EXPECT_EQ(run(), Outcome::cancelled);
  EXPECT_FALSE(record_.has("build"));
}

TEST_F(JobRunnerTest, AnUnknownDeploymentEndsWithoutAWordToAnyButTheOperator) {
  reporter_.fail_next(ErrorKind::not_found, 100);
  EXPECT_EQ(run(), Outcome::gone);
  EXPECT_TRUE(metrics_.render().contains("dead_letters_total{reason=\"unknown\"} 1"));
  EXPECT_TRUE(statuses().empty());
  EXPECT_FALSE(record_.has("build"));
}

TEST_F(JobRunnerTest, ARefusedKeyGivesTheJobBack) {
  reporter_.fail_next(ErrorKind::denied, 100);
  EXPECT_EQ(run(), Outcome::refused);
}

TEST_F(JobRunnerTest, AnApiThatStaysAwayGivesTheJobBack) {
  settings_.building_patience = 0s;
  reporter_.fail_next(ErrorKind::unavailable, 100);
  EXPECT_EQ(run(), Outcome::requeued);
  EXPECT_FALSE(record_.has("build"));
}

struct CancelCase {
  const char* phase;
  StopReason reason;
  Outcome outcome;
};

class CancelTest : public JobRunnerTest, public testing::WithParamInterface<CancelCase> {};

TEST_P(CancelTest, EndsTheDeploymentInEveryPhase) {
  const CancelCase& test = GetParam();
  const auto stop_here = [&](const ports::JobContext& job) -> std::optional<Error> {
    if (test.reason == StopReason::superseded) {
      queue_.push(R"({"deploymentId":"d2","serviceId":"s1"})");
      EXPECT_TRUE(queue_.look());
    }
    cancellation_.request_stop(test.reason);
    return fakes::until_stopped()(job);
  };
  const std::string phase = test.phase;
  (phase == "fetch" ? source_.hook : phase == "build" ? image_.hook : image_.push_hook) = stop_here;
  EXPECT_EQ(run(), test.outcome);
  EXPECT_FALSE(record_.has("promote d1"));
  if (test.outcome == Outcome::requeued) {
    const auto all = statuses();
    EXPECT_EQ(std::count(all.begin(), all.end(), DeploymentStatus::cancelled), 0);
  } else {
    EXPECT_EQ(statuses().back(), DeploymentStatus::cancelled);
    EXPECT_EQ(last().type, domain::LogType::error);
    EXPECT_TRUE(last().is_status) << "nothing follows CANCELLED";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Phases, CancelTest,
    testing::Values(CancelCase{"fetch", StopReason::cancelled_by_user, Outcome::cancelled},
                    CancelCase{"build", StopReason::cancelled_by_user, Outcome::cancelled},
                    CancelCase{"push", StopReason::cancelled_by_user, Outcome::cancelled},
                    CancelCase{"fetch", StopReason::superseded, Outcome::superseded},
                    CancelCase{"build", StopReason::superseded, Outcome::superseded},
                    CancelCase{"push", StopReason::shutdown, Outcome::requeued},
                    CancelCase{"build", StopReason::shutdown, Outcome::requeued},
                    CancelCase{"fetch", StopReason::shutdown, Outcome::requeued}),
    [](const auto& test) {
      return std::string(test.param.phase) + "_" +
             std::to_string(static_cast<int>(test.param.reason));
    });

TEST_F(JobRunnerTest, ACancelIsSeenWhileLatestMoves) {
  registry_.promote_hook = [&](const ports::JobContext& job) -> std::optional<Error> {
    cancellation_.request_stop(StopReason::cancelled_by_user);
    return fakes::until_stopped()(job);
  };
  EXPECT_EQ(run(), Outcome::cancelled);
  EXPECT_EQ(statuses().back(), DeploymentStatus::cancelled);
}

TEST_F(JobRunnerTest, ABuildTimeoutIsSaidAsSuch) {
  settings_.build_timeout = 0s;
  image_.hook = fakes::failing({.kind = ErrorKind::timed_out, .message = "deadline"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_TRUE(last().error.contains("took longer than 0 seconds")) << last().error;
}

TEST_F(JobRunnerTest, TheRepositoryDecidesWhatItMayDecide) {
  auto tree = std::make_shared<fakes::MemoryTree>();
  tree->add_file("apps/web/Dockerfile", "FROM busybox\n");
  tree->add_file("deployra.toml",
                 "[build]\ncontext = 'apps/web'\ntarget = 'file'\ntimeout = '1s'\n"
                 "silence_timeout = '1h'\nargs = {A = '1'}\n");
  source_.tree = tree;
  settings_.steps.knobs = domain::knobs::read_rules("all").value();
  settings_.steps.knobs.longest_timeout = settings_.build_timeout = 1h;
  request_.environment = {{"DEPLOYRA_BUILD_TARGET", "variable"}};
  image_.hook = [](const ports::JobContext& job) -> std::optional<Error> {
    EXPECT_LE(job.deadline - std::chrono::steady_clock::now(), 1s);
    std::this_thread::sleep_until(job.deadline);
    return Error{.kind = ErrorKind::timed_out, .message = "deadline"};
  };
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_TRUE(last().error.contains("took longer than 1 second ")) << last().error;
  EXPECT_EQ(image_.built.dockerfile, "apps/web/Dockerfile");
  EXPECT_EQ(image_.built.options.target, "variable");
  EXPECT_EQ(image_.built.options.arguments, (std::map<std::string, std::string>{{"A", "1"}}));
}

TEST_F(JobRunnerTest, WhatTheOperatorDoesNotAllowEndsTheDeploymentWithItsPlace) {
  auto tree = std::make_shared<fakes::MemoryTree>();
  tree->add_file("Dockerfile", "FROM busybox\n");
  tree->add_file("deployra.toml", "[build]\nno_cache = true\n");
  source_.tree = tree;
  settings_.steps.knobs = domain::knobs::read_rules("target").value();
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_TRUE(last().error.starts_with("deployra.toml:2: \"no_cache\" may not be set"))
      << last().error;
  EXPECT_FALSE(record_.has("push d1"));
}

TEST_F(JobRunnerTest, AFailedCommandsLastWordsEndItsLineWithoutSecrets) {
  domain::GitProvider git;
  git.password = Secret("gho_verysecrettoken");
  request_.git_provider = git;
  image_.hook = fakes::failing({.kind = ErrorKind::build_failed,
                                .message = "m",
                                .customer = "Dockerfile:3: \"RUN x\" failed with exit code 1",
                                .last_words = "no access with gho_verysecrettoken"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_EQ(last().error,
            "Dockerfile:3: \"RUN x\" failed with exit code 1: no access with [REDACTED]");
}

TEST_F(JobRunnerTest, AFailureThatARuleKnowsIsExplained) {
  settings_.help_url = "https://help.test";
  domain::GitProvider git;
  git.password = Secret("verysecretscript");
  request_.git_provider = git;
  image_.events_hook = [](domain::EventSink& events) {
    events.emit(domain::StepStarted{3, "[3/3] RUN npm run x"});
    events.emit(domain::StepOutput{3, true, "npm error Missing script: \"verysecretscript\"\n"});
    events.emit(domain::StepFinished{
        .step = 3, .name = "[3/3] RUN npm run x", .cached = false, .error = "exit code: 1"});
  };
  image_.hook =
      fakes::failing({.kind = ErrorKind::build_failed,
                      .message = "m",
                      .customer = "Dockerfile:3: \"RUN npm run x\" failed with exit code 1",
                      .last_words = "npm error Missing script"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_EQ(last().error,
            "Dockerfile:3: \"RUN npm run x\" failed with exit code 1: package.json has no script "
            "\"REDACTED\"; add it, or change the command");
  EXPECT_TRUE(reporter_.log_text().contains(
      "\nWhy: package.json has no script \"REDACTED\"; add it, or change the command\n"
      "What to do: Scripts stand below"))
      << reporter_.log_text();
  EXPECT_TRUE(reporter_.log_text().contains(
      "\nHelp: https://help.test/build_failed#node-script-missing\n"));
  EXPECT_TRUE(
      metrics_.render().contains("deployra_builder_failures_total{category=\"customer\","
                                 "reason=\"node-script-missing\"} 1"));
}

TEST_F(JobRunnerTest, ASecretInTheCommandIsTakenOutBeforeTheCommandIsCut) {
  domain::GitProvider git;
  git.password = Secret("verysecret" + std::string(60, 's'));
  request_.git_provider = git;
  image_.events_hook = [](domain::EventSink& events) {
    events.emit(domain::StepStarted{3, "[3/3] RUN ./x"});
    events.emit(domain::StepOutput{3, true, "npm error Missing script: \"x\"\n"});
    events.emit(domain::StepFinished{
        .step = 3, .name = "[3/3] RUN ./x", .cached = false, .error = "exit code: 1"});
  };
  image_.hook = fakes::failing({.kind = ErrorKind::build_failed,
                                .message = "m",
                                .customer = "Dockerfile:3: \"RUN npm run x verysecret" +
                                            std::string(60, 's') + " " + std::string(60, 'y') +
                                            "\" failed with exit code 1",
                                .last_words = "npm error Missing script"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_FALSE(last().error.contains("verysecret")) << last().error;
  EXPECT_TRUE(last().error.ends_with("add it, or change the command")) << last().error;
}

TEST_F(JobRunnerTest, AFailureThatNoRuleKnowsIsCountedByItsKind) {
  image_.hook = fakes::failing({.kind = ErrorKind::internal, .message = "m"});
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_FALSE(reporter_.log_text().contains("Why: ")) << reporter_.log_text();
  EXPECT_TRUE(metrics_.render().contains(
      "deployra_builder_failures_total{category=\"platform\",reason=\"internal\"} 1"));
}

TEST_F(JobRunnerTest, SecretsOfTheJobAreTakenOutOfLogAndError) {
  domain::GitProvider git;
  git.password = Secret("gho_verysecrettoken");
  request_.git_provider = git;
  image_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    return Error{.kind = ErrorKind::build_failed,
                 .message = "m",
                 .customer = "curl gho_verysecrettoken failed"};
  };
  EXPECT_EQ(run(), Outcome::failed);
  EXPECT_FALSE(last().error.contains("verysecret")) << last().error;
  EXPECT_FALSE(last().text.contains("verysecret")) << last().text;
}

TEST_F(JobRunnerTest, AnAbortEndsEvenTheDeliveryOfAFinalStatus) {
  source_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    cancellation_.request_stop(StopReason::cancelled_by_user);
    reporter_.fail_next(ErrorKind::unavailable, 1'000);
    abort_.request_stop();
    return Error{.kind = ErrorKind::cancelled, .message = "stopped"};
  };
  EXPECT_EQ(run(), Outcome::requeued);
}

TEST_F(JobRunnerTest, ARejectedJobFailsWithItsLine) {
  settings_.help_url = "https://help.test";
  queue_.push(R"({"deploymentId":"d1","serviceId":"s1"})");
  const auto job = queue_.take(0ms, {}).value();
  JobRunner runner({source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_},
                   settings_, secrets_, metrics_, fakes::null_log(), {});
  EXPECT_EQ(runner.reject(job->receipt,
                          {.kind = ErrorKind::invalid_input, .message = "m", .customer = "bad"},
                          cancellation_),
            Outcome::failed);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::failed}));
  EXPECT_EQ(last().error, "bad");
  EXPECT_EQ(reporter_.log_text(), "Help: https://help.test/invalid_input\nLog complete: 1 line\n");
  ASSERT_EQ(history_.runs.size(), 1U);
  EXPECT_EQ(history_.runs[0]->start.deployment.str(), "d1");
  EXPECT_EQ(history_.runs[0]->end->outcome, "failed");
  EXPECT_EQ(history_.runs[0]->end->reason, "invalid_input");
  EXPECT_EQ(history_.runs[0]->end->line, "bad");
  EXPECT_EQ(history_.runs[0]->rows,
            (std::vector<std::string>{"INFO Help: https://help.test/invalid_input", "ERROR bad"}));
  EXPECT_TRUE(queue_.idle());
}

TEST_F(JobRunnerTest, TheHistoryIsToldWhatWasBuilt) {
  settings_.version = "9.9.9";
  settings_.engine = "docker";
  request_.runtime_file_path = "Dockerfile";
  request_.environment = {{"TOKEN", "verysecrettoken77"}, {"PORT", "3000"}};
  image_.events_hook = [](domain::EventSink& events) {
    events.emit(domain::StepOutput{2, false, "uses verysecrettoken77\n"});
  };
  EXPECT_EQ(run(), Outcome::builded);
  ASSERT_EQ(history_.runs.size(), 1U);
  const fakes::FakeHistory::Run& kept = *history_.runs[0];
  EXPECT_EQ(kept.start.deployment.str(), "d1");
  EXPECT_EQ(kept.start.service.str(), "s1");
  EXPECT_EQ(kept.start.attempt, 1);
  EXPECT_EQ(kept.start.repository, "https://github.com/octo/hello.git");
  EXPECT_EQ(kept.start.branch, "main");
  EXPECT_EQ(kept.start.dockerfile, "Dockerfile");
  EXPECT_EQ(kept.start.variables, (std::vector<std::string>{"TOKEN", "PORT"}));
  EXPECT_EQ(kept.start.engine, "docker");
  EXPECT_EQ(kept.start.version, "9.9.9");
  EXPECT_EQ(kept.phases, (std::vector<std::string>{"fetch", "build", "promote", "report"}));
  ASSERT_EQ(kept.steps.size(), 1U);
  EXPECT_EQ(kept.steps[0].name, "[1/1] RUN true");
  ASSERT_TRUE(kept.end);
  EXPECT_EQ(kept.end->outcome, "builded");
  EXPECT_EQ(kept.end->commit, std::string(40, 'a'));
  EXPECT_EQ(kept.end->image, "registry.test/deployra/s1");
  EXPECT_EQ(kept.end->digest, "sha256:d");
  EXPECT_EQ(kept.end->line, "");
  // What the customer reads, but for the line that counts the others.
  std::string rows;
  for (const std::string& row : kept.rows) {
    EXPECT_FALSE(row.contains("verysecret")) << row;
    rows += row.substr(row.find(' ') + 1) + "\n";
  }
  for (const char* line :
       {"Build started", "hello from the build", "uses [REDACTED]", "pushed   10 B\nsteps    1",
        "Build completed successfully. Image is ready for deployment."}) {
    EXPECT_TRUE(rows.contains(std::string(line) + "\n")) << line << " in " << rows;
  }
}

TEST_F(JobRunnerTest, TheHistoryIsToldWhyABuildFailed) {
  image_.events_hook = [](domain::EventSink& events) {
    events.emit(domain::StepStarted{3, "[3/3] RUN npm run x"});
    events.emit(domain::StepOutput{3, true, "npm error Missing script: \"x\"\n"});
    events.emit(domain::StepFinished{
        .step = 3, .name = "[3/3] RUN npm run x", .cached = false, .error = "exit code: 1"});
  };
  image_.hook = fakes::failing({.kind = ErrorKind::build_failed,
                                .message = "m",
                                .customer = "RUN failed",
                                .last_words = "npm error Missing script"});
  EXPECT_EQ(run(), Outcome::failed);
  const ports::RunEnd& end = *history_.runs.at(0)->end;
  EXPECT_EQ(end.outcome, "failed");
  EXPECT_EQ(end.category, "customer");
  EXPECT_EQ(end.reason, "node-script-missing");
  EXPECT_EQ(end.line, last().error);
  EXPECT_TRUE(end.advice.starts_with("Scripts stand below")) << end.advice;
  EXPECT_EQ(end.image, "");
  EXPECT_TRUE(history_.runs[0]->steps.back().failed);
}

TEST_F(JobRunnerTest, InTheHistoryTheQueueHasTheLastWordToo) {
  image_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    EXPECT_EQ(queue_.cancel(domain::DeploymentId("d1")).value(), ports::CancelAnswer::owned);
    return Error{.kind = ErrorKind::build_failed, .message = "m", .customer = "it failed"};
  };
  EXPECT_EQ(run(), Outcome::cancelled);
  const ports::RunEnd& end = *history_.runs.at(0)->end;
  EXPECT_EQ(end.outcome, "cancelled");
  EXPECT_EQ(end.category, "");
  EXPECT_EQ(end.reason, "");
  EXPECT_EQ(end.line, "Deployment cancelled by user");
}

TEST_F(JobRunnerTest, TheHistoryIsToldOfAJobThatGoesBack) {
  source_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    cancellation_.request_stop(StopReason::shutdown);
    return Error{.kind = ErrorKind::cancelled, .message = "stopped"};
  };
  EXPECT_EQ(run(), Outcome::requeued);
  EXPECT_EQ(history_.runs.at(0)->end->outcome, "requeued");
}

TEST_F(JobRunnerTest, ACancelRecordedElsewhereBeforeTheEndWins) {
  registry_.promote_hook = [&](const ports::JobContext&) -> std::optional<Error> {
    EXPECT_EQ(queue_.cancel(domain::DeploymentId("d1")).value(), ports::CancelAnswer::owned);
    return std::nullopt;
  };
  EXPECT_EQ(run(), Outcome::cancelled);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::cancelled}));
  EXPECT_TRUE(queue_.idle());
}

TEST_F(JobRunnerTest, ABuildedThatCouldNotBeDeliveredGivesWayToACancel) {
  reporter_.on_post = [&](const std::stop_token&) {
    if (reporter_.log_text().contains("Log complete") &&
        cancellation_.request_stop(StopReason::cancelled_by_user)) {  // BUILDED comes next.
      reporter_.fail_next(ErrorKind::unavailable, 1);
      queue_.cancel(domain::DeploymentId("d1")).value();
    }
  };
  EXPECT_EQ(run(), Outcome::cancelled);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::cancelled}));
}

TEST_F(JobRunnerTest, AFinalStatusThatIsNotTakenWaitsForAnotherWorker) {
  settings_.final_patience = 0s;
  image_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    reporter_.fail_next(ErrorKind::unavailable, 100);
    return Error{.kind = ErrorKind::build_failed, .message = "m", .customer = "bad"};
  };
  settings_.channel.final_flush = 0ms;
  EXPECT_EQ(run(), Outcome::requeued);
  EXPECT_TRUE(queue_.queued().empty()) << "it has an end";
  const auto left = queue_.adopt().value();
  ASSERT_TRUE(left);
  EXPECT_EQ(left->ending.update.error, "bad");
}

TEST_F(JobRunnerTest, AnEndIsSettledHoweverOftenTheQueueRefuses) {
  reporter_.on_post = [&](const std::stop_token&) {
    if (reporter_.log_text().contains("Log complete")) {  // BUILDED comes next.
      queue_.refuse_next(ErrorKind::denied, 3);
    }
  };
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::builded}));
  EXPECT_TRUE(queue_.idle());
}

TEST_F(JobRunnerTest, AnUnknownDeploymentIsEndedHoweverOftenTheQueueRefuses) {
  reporter_.fail_next(ErrorKind::not_found, 100);
  queue_.refuse_next(ErrorKind::denied, 2);
  EXPECT_EQ(run(), Outcome::gone);
  EXPECT_TRUE(queue_.idle());
}

TEST_F(JobRunnerTest, AnAbortEndsEvenTheSettlement) {
  queue_.refuse_next(ErrorKind::unavailable, 1'000'000);
  image_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    abort_.request_stop();
    return std::nullopt;
  };
  EXPECT_EQ(run(), Outcome::requeued);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building})) << "nothing was decided";
}

TEST_F(JobRunnerTest, WithoutALeaseNothingIsPostedAndNothingMoved) {
  image_.hook = [&](const ports::JobContext&) -> std::optional<Error> {
    queue_.lose_lease();
    return std::nullopt;
  };

  class Listener final : public ports::QueueListener {
    void must_stop(const domain::DeploymentId&, StopReason) override {}

    void outbox_filled() override {}

    void malformed_element() override {}

    void given_up(const domain::DeploymentId&) override {}

    [[nodiscard]] ports::WorkerActivity activity() const override { return {}; }
  } listener;

  queue_.join(listener);
  EXPECT_EQ(run(), Outcome::lost);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building}));
  EXPECT_FALSE(record_.has("promote d1"));
  EXPECT_FALSE(record_.has("clean_up")) << "the engine's image is the next worker's";
}

TEST_F(JobRunnerTest, AJobGivenBackLeavesWhatWasBuiltForIt) {
  image_.push_hook = [this](const ports::JobContext&) -> std::optional<Error> {
    cancellation_.request_stop(StopReason::shutdown);
    return Error{.kind = ErrorKind::cancelled, .message = "stopped"};
  };
  EXPECT_EQ(run(), Outcome::requeued);
  EXPECT_FALSE(record_.has("clean_up")) << "whoever takes it next pushes it";
}

TEST_F(JobRunnerTest, ADefectAfterTheJobIsSettledDoesNotEndItAgain) {
  image_.clean_up_hook = [] { throw std::runtime_error("a defect"); };
  EXPECT_EQ(run(), Outcome::builded);
  EXPECT_TRUE(record_.has("clean_up"));
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building, DeploymentStatus::builded}));
  EXPECT_TRUE(queue_.idle());
}

TEST_F(JobRunnerTest, WithoutAThreadToBeHadNothingEndsAndNothingIsKept) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto in_child = [this] {
    fakes::ThreadLimit threads;
    if (!threads.binds()) {
      std::_Exit(0);
    }
    JobRunner runner(
        {source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_}, settings_,
        secrets_, metrics_, fakes::null_log(), abort_.get_token());
    queue_.leave_behind("d0", {ports::Verdict::attempts_used, {}});
    const auto left = queue_.adopt().value();
    threads.forbid();
    EXPECT_EQ(run(), Outcome::requeued);
    EXPECT_EQ(runner.reject(fakes::receipt("d2"), {}, cancellation_), Outcome::requeued);
    EXPECT_EQ(runner.deliver(*left, cancellation_), Outcome::requeued);
    EXPECT_EQ(queue_.undelivered(), 0u);
    EXPECT_TRUE(reporter_.posts().empty());
    std::_Exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "");
}

TEST_F(JobRunnerTest, WithoutAThreadForAPartOfItADeploymentComesBack) {
  source_.hook = [](const ports::JobContext&) -> std::optional<Error> {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  };
  EXPECT_EQ(run(), Outcome::requeued);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::building}));
  EXPECT_EQ(queue_.undelivered(), 0u);
}

TEST_F(JobRunnerTest, WithoutAThreadImagesOfOldJobsAreLookedUpAllTheSame) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  JobRunner runner({source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_},
                   settings_, secrets_, metrics_, fakes::null_log(), abort_.get_token());
  const auto look = [&] { EXPECT_TRUE(runner.built_before({"{}", "{}"}, {}).ended.empty()); };
  EXPECT_EXIT(fakes::without_threads(look), testing::ExitedWithCode(0), "");
}

TEST_F(JobRunnerTest, AnEndLeftBehindIsDelivered) {
  queue_.leave_behind("d1", {ports::Verdict::attempts_used, {}});
  JobRunner runner({source_, image_, buildpacks_, registry_, reporter_, queue_, nullptr, &history_},
                   settings_, secrets_, metrics_, fakes::null_log(), {});
  EXPECT_EQ(runner.deliver(*queue_.adopt().value(), cancellation_), Outcome::failed);
  EXPECT_EQ(statuses(), (Statuses{DeploymentStatus::failed}));
  EXPECT_LE(last().error.size(), 191u);
  EXPECT_TRUE(queue_.idle());
  EXPECT_TRUE(metrics_.render().contains(
      "deployra_builder_failures_total{category=\"platform\",reason=\"worker_lost\"} 1"));
}

}  // namespace
}  // namespace builder::work
