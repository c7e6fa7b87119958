#include "work/worker.hpp"

#include "fakes/fake_reporter.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/job_settings.hpp"
#include "fakes/memory_queue.hpp"
#include "fakes/thread_limit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

namespace builder::work {
namespace {

using fakes::MemoryQueue;
using ports::DeploymentStatus;
using namespace std::chrono_literals;

using Statuses = std::vector<DeploymentStatus>;
const Statuses k_built{DeploymentStatus::building, DeploymentStatus::builded};

std::string job(const std::string& id, const std::string& service) {
  return R"({"deploymentId":")" + id + R"(","serviceId":")" + service +
         R"(","commitSha":"","branch":"main","repositoryName":"octo/hello"})";
}

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    auto tree = std::make_shared<fakes::MemoryTree>();
    tree->add_file("Dockerfile", "FROM busybox\n");
    source_.tree = tree;
  }

  ~WorkerTest() override { stop(); }

  void start(std::size_t slots, std::function<bool()> can_build = {}) {
    if (!can_build) {
      can_build = [this] { return can_build_.load(); };
    }
    runner_.emplace(RunPorts{source_, image_, buildpacks_, registry_, reporter_, queue_}, settings_,
                    secrets_, metrics_, fakes::null_log(), abort_.get_token());
    worker_.emplace(queue_, *runner_,
                    WorkerSettings{.can_build = std::move(can_build),
                                   .must_shed = [this] { return must_shed_.load(); },
                                   .waiting = [this] { return waiting_.load(); },
                                   .parallel_builds = slots,
                                   .drain_timeout = drain_timeout_,
                                   .outbox_interval = 50ms,
                                   .no_thread_pause = 50ms},
                    metrics_, fakes::null_log());
    dispatcher_ = std::jthread([this](const std::stop_token& token) { worker_->run(token); });
  }

  void stop() {
    if (dispatcher_.joinable()) {
      dispatcher_.request_stop();
      dispatcher_.join();
      worker_->drain(hurry_.get_token(), abort_);
    }
  }

  /// Waits for a condition; false when it does not come about.
  template <class Condition>
  static bool eventually(Condition&& condition, std::chrono::seconds patience = 10s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) {
        return false;
      }
      std::this_thread::sleep_for(1ms);  // The others are to have the processor.
    }
    return true;
  }

  /// Builds d1, whose fetch does not end before it is stopped; the next one does.
  void start_one_that_stays() {
    source_.hook = [this](const ports::JobContext& context) -> std::optional<Error> {
      return stays_.exchange(false) ? fakes::until_stopped()(context) : std::nullopt;
    };
    start(1);
    queue_.push(job("d1", "s1"));
    ASSERT_TRUE(eventually([&] { return record_.has("fetch"); }));
  }

  /// Leaves two ends of others, FAILED and CANCELLED, and waits until they are ours to deliver.
  void adopt_two() {
    can_build_ = false;
    queue_.leave_behind("d1", {ports::Verdict::attempts_used, {}});
    queue_.push(job("d2", "s2"));
    start(1);
    worker_->on_cancel(domain::DeploymentId("d2"));
    ASSERT_TRUE(eventually([&] { return queue_.undelivered() == 2; }));
  }

  /// Whether the drain ends without the peers; `recover` brings them back if it does not.
  bool stops_without(const std::function<void()>& recover) {
    std::atomic<bool> stopped = false;
    std::jthread stopper([&] {
      stop();
      stopped = true;
    });
    const auto until = std::chrono::steady_clock::now() + 2s;
    while (!stopped && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    const bool in_time = stopped;
    recover();
    return in_time;
  }

  std::atomic<bool> can_build_{true};
  std::atomic<bool> must_shed_{false};
  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> stays_{true};  ///< The next fetch.
  std::chrono::seconds drain_timeout_{30};
  fakes::StepRecord record_;
  fakes::FakeSource source_{record_};
  fakes::FakeImageBuilder image_{record_};
  fakes::FakeBuildpacks buildpacks_{record_};
  fakes::FakeRegistry registry_{record_};
  fakes::FakeReporter reporter_;
  MemoryQueue queue_;
  SecretStore secrets_;
  ports::Metrics metrics_;
  JobSettings settings_ = fakes::quick_job_settings();
  std::stop_source abort_;
  std::stop_source hurry_;
  std::optional<JobRunner> runner_;
  std::optional<Worker> worker_;
  std::jthread dispatcher_;
};

TEST_F(WorkerTest, PeopleAreToldWhatItDoesAndNoSecret) {
  image_.step = "[2/2] RUN login hunter22-of-a-customer";
  image_.hook = fakes::until_stopped();
  start(1);
  queue_.push(R"({"deploymentId":"d1","serviceId":"s1","commitSha":"","branch":"main",)"
              R"("repositoryName":"octo/hello",)"
              R"("environmentVariables":[{"key":"PASSWORD","value":"hunter22-of-a-customer"}]})");
  ASSERT_TRUE(eventually([&] { return record_.has("build"); }));
  ASSERT_TRUE(eventually([&] {
    const auto running = queue_.activity().running;
    return running.size() == 1 && running[0].phase == "build" && !running[0].step.empty();
  }));
  const ports::RunningJob told = queue_.activity().running.at(0);
  EXPECT_EQ(told.deployment.str(), "d1");
  EXPECT_EQ(told.attempt, 1);
  EXPECT_EQ(told.step, "[2/2] RUN login [REDACTED]");
  EXPECT_GE(queue_.activity_changes(), 3) << "taken, fetch, build";
  worker_->on_cancel(domain::DeploymentId("d1"));
  EXPECT_TRUE(eventually([&] { return queue_.activity().running.empty(); }));
}

TEST_F(WorkerTest, ABuildThatWaitsForThePlatformKeepsNoOtherFromItsSlot) {
  drain_timeout_ = 0s;
  start_one_that_stays();
  queue_.push(job("d2", "s2"));
  waiting_ = 1;
  EXPECT_TRUE(eventually([&] { return reporter_.statuses("d2") == k_built; }));
}

TEST_F(WorkerTest, RunsEveryJobAndForgetsIt) {
  for (int i = 0; i < 20; ++i) {
    queue_.push(job("d" + std::to_string(i), "s" + std::to_string(i)));
  }
  start(3);
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(reporter_.statuses("d" + std::to_string(i)), k_built);
  }
}

TEST_F(WorkerTest, OfABurstOfOneServiceTheNewestIsBuiltAndOthersAreNotHeldUp) {
  constexpr auto k_quick = 400ms;  // A build this short has ended before a second look.
  image_.hook = [&](const ports::JobContext& context) -> std::optional<Error> {
    sleep_for(k_quick, context.stop);
    return std::nullopt;
  };
  for (int i = 0; i < 20; ++i) {
    queue_.push(job("d" + std::to_string(i), "s1"));
  }
  queue_.push(job("other", "s2"));
  start(1);
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  for (int i = 1; i < 19; ++i) {
    EXPECT_EQ(reporter_.statuses("d" + std::to_string(i)), (Statuses{DeploymentStatus::cancelled}));
  }
  EXPECT_EQ(reporter_.statuses("d0").back(), DeploymentStatus::cancelled);
  EXPECT_EQ(reporter_.statuses("d19"), k_built);
  EXPECT_EQ(reporter_.statuses("other"), k_built);
}

TEST_F(WorkerTest, TakesNoJobWhileNothingCanBeBuilt) {
  can_build_ = false;
  queue_.push(job("d1", "s1"));
  start(1);
  std::this_thread::sleep_for(200ms);  // Long enough for several takes.
  EXPECT_TRUE(reporter_.statuses("d1").empty());
  EXPECT_EQ(queue_.length(), 1u);
  can_build_ = true;
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1"), k_built);
}

TEST_F(WorkerTest, AnOperatorsFaultCostsNoDeploymentAndStopsTheTaking) {
  std::atomic<bool> refused = true;
  registry_.ensure_hook = [&]() -> std::optional<Error> {
    return refused ? std::optional(
                         Error{.kind = ErrorKind::denied, .message = "AccessDenied"}.for_operator(
                             "AWS_ACCESS_KEY_ID"))
                   : std::nullopt;
  };
  for (int i = 0; i < 10; ++i) {
    queue_.push(job("d" + std::to_string(i), "s" + std::to_string(i)));
  }
  settings_.first_fault_pause = 500ms;
  const auto started = std::chrono::steady_clock::now();
  start(1);
  ASSERT_TRUE(eventually([&] { return !runner_->faults().reason().empty(); }));
  ASSERT_TRUE(eventually([&] { return queue_.queued().size() == 10; }));
  EXPECT_EQ(runner_->faults().reason(),
            "preparing the repository: AccessDenied (look at AWS_ACCESS_KEY_ID)");
  const auto paused = std::chrono::steady_clock::now() - started;
  EXPECT_LE(registry_.ensured, 1 + paused / settings_.first_fault_pause);
  refused = false;
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }, 30s)) << "it goes on by itself";
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(reporter_.statuses("d" + std::to_string(i)).back(), DeploymentStatus::builded);
  }
  EXPECT_TRUE(runner_->faults().reason().empty());
}

TEST_F(WorkerTest, AFaultOfOneServiceKeepsNoOtherFromTheOnlySlot) {
  std::atomic<bool> denied = true;
  image_.push_hook = [&](const ports::JobContext& context) -> std::optional<Error> {
    if (!denied || context.deployment_id.str() != "d0") {
      return std::nullopt;
    }
    Error error = Error{.kind = ErrorKind::denied, .message = "denied: s0"}.for_operator("KEY");
    error.of_one_service = true;
    return error;
  };
  settings_.first_fault_pause = 500ms;
  queue_.push(job("d0", "s0"));
  for (int i = 1; i < 4; ++i) {
    queue_.push(job("d" + std::to_string(i), "s" + std::to_string(i)));
  }
  start(1);
  for (int i = 1; i < 4; ++i) {
    ASSERT_TRUE(
        eventually([&] { return reporter_.statuses("d" + std::to_string(i)) == k_built; }, 4s));
  }
  EXPECT_EQ(reporter_.statuses("d0").back(), DeploymentStatus::building);
  EXPECT_EQ(runner_->faults().reason(), "");
  denied = false;
  ASSERT_TRUE(
      eventually([&] { return reporter_.statuses("d0").back() == DeploymentStatus::builded; }));
}

TEST_F(WorkerTest, AJobThatIsHeldObeysItsCancelAndTheDrain) {
  image_.push_hook = [&](const ports::JobContext&) -> std::optional<Error> {
    Error error = Error{.kind = ErrorKind::denied, .message = "denied"}.for_operator("KEY");
    error.of_one_service = true;
    return error;
  };
  queue_.push(job("d0", "s0"));
  queue_.push(job("d1", "s1"));
  start(1);
  ASSERT_TRUE(eventually([&] { return runner_->faults().count() == 2; }));
  worker_->on_cancel(domain::DeploymentId("d0"));
  EXPECT_TRUE(eventually(
      [&] {
        const auto statuses = reporter_.statuses("d0");
        return !statuses.empty() && statuses.back() == DeploymentStatus::cancelled;
      },
      1s));
  hurry_.request_stop();
  EXPECT_TRUE(stops_without([] {}));
  EXPECT_EQ(queue_.queued().size(), 1u);
}

TEST_F(WorkerTest, AFullDiskStopsTheNewestBuildAndGivesItBack) {
  std::atomic<bool> slow = true;
  source_.hook = [&](const ports::JobContext& context) {
    return slow ? fakes::until_stopped()(context) : std::nullopt;
  };
  start(2);
  queue_.push(job("older", "s1"));
  ASSERT_TRUE(eventually([&] { return !reporter_.statuses("older").empty(); }));
  queue_.push(job("newer", "s2"));
  ASSERT_TRUE(eventually([&] { return !reporter_.statuses("newer").empty(); }));
  ASSERT_TRUE(eventually([&] { return std::ranges::count(record_.steps(), "fetch") == 2; }));
  can_build_ = false;
  must_shed_ = true;
  ASSERT_TRUE(eventually([&] { return queue_.length() == 1; }));
  must_shed_ = false;
  EXPECT_EQ(reporter_.statuses("older"), (Statuses{DeploymentStatus::building}));
  // Its customer was told, and it has no end.
  EXPECT_EQ(reporter_.statuses("newer").back(), DeploymentStatus::building);
  EXPECT_EQ(reporter_.statuses("newer").size(), 2u);
  slow = false;
  can_build_ = true;
  ASSERT_TRUE(
      eventually([&] { return reporter_.statuses("newer").back() == DeploymentStatus::builded; }));
  worker_->on_cancel(domain::DeploymentId("older"));
}

TEST_F(WorkerTest, AJobIsGivenBackHoweverOftenTheQueueRefuses) {
  start_one_that_stays();
  queue_.refuse_next(ErrorKind::denied, 3);
  must_shed_ = true;
  ASSERT_TRUE(eventually([&] { return reporter_.statuses("d1").size() == 2; }));  // It was told.
  must_shed_ = false;
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1").back(), DeploymentStatus::builded);
}

TEST_F(WorkerTest, ACancelIsRecordedHoweverOftenTheQueueRefuses) {
  can_build_ = false;
  start(1);
  queue_.push(job("d1", "s1"));
  queue_.refuse_next(ErrorKind::denied, 2);
  worker_->on_cancel(domain::DeploymentId("d1"));
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }, 30s));
  EXPECT_EQ(reporter_.statuses("d1"), (Statuses{DeploymentStatus::cancelled}));
}

TEST_F(WorkerTest, ASlotWhoseEndBreaksIsFreeAgain) {
  image_.hook = [&](const ports::JobContext& context) -> std::optional<Error> {
    return context.deployment_id.str() == "d1" ? fakes::until_stopped()(context) : std::nullopt;
  };
  queue_.break_next_requeue();
  start(1);
  queue_.push(job("d1", "s1"));
  ASSERT_TRUE(eventually([&] { return record_.has("build"); }));
  must_shed_ = true;  // It is stopped, and given back.
  ASSERT_TRUE(eventually([&] { return worker_->idle(); }));
  must_shed_ = false;
  queue_.push(job("d2", "s2"));
  EXPECT_TRUE(eventually([&] { return reporter_.statuses("d2") == k_built; }));
}

TEST_F(WorkerTest, ACancelBetweenTheTakeAndTheStartIsObeyed) {
  std::atomic<bool> cancel = false;
  start(1, [&] {  // Asked behind the take, too.
    if (cancel && queue_.length() == 0 && cancel.exchange(false)) {
      worker_->on_cancel(domain::DeploymentId("d1"));
    }
    return true;
  });
  cancel = true;
  queue_.push(job("d1", "s1"));
  ASSERT_TRUE(eventually([&] { return !reporter_.statuses("d1").empty() && queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1").back(), DeploymentStatus::cancelled);
  EXPECT_FALSE(record_.has("promote d1"));
}

TEST_F(WorkerTest, AJobThatTheQueueForgotIsBuiltAgain) {
  start_one_that_stays();
  queue_.forget("d1");
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1").back(), DeploymentStatus::builded);
}

TEST_F(WorkerTest, DeliversWhatALostWorkerLeft) {
  queue_.leave_behind("d1", {ports::Verdict::attempts_used, {}});
  start(1);
  worker_->on_cancel(domain::DeploymentId("x"));
  queue_.push("not json");
  queue_.push(job("d2", "s2"));
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1"), (Statuses{DeploymentStatus::failed}));
}

TEST_F(WorkerTest, StopsWhatItHadWhenTheLeaseIsLostAndSaysNothingMore) {
  source_.hook = [&](const ports::JobContext& context) -> std::optional<Error> {
    return context.deployment_id.str() == "d1" ? fakes::until_stopped()(context) : std::nullopt;
  };
  start(1);
  queue_.push(job("d1", "s1"));
  ASSERT_TRUE(eventually([&] { return !reporter_.statuses("d1").empty(); }));
  queue_.lose_lease();
  queue_.push(job("d2", "s2"));
  ASSERT_TRUE(eventually([&] { return reporter_.statuses("d2") == k_built; }));
  EXPECT_EQ(reporter_.statuses("d1"), (Statuses{DeploymentStatus::building}));
}

TEST_F(WorkerTest, AQueuedNewerJobSupersedesTheRunningOneEvenWithOneSlot) {
  source_.hook = [&](const ports::JobContext& context) -> std::optional<Error> {
    return context.deployment_id.str() == "old" ? fakes::until_stopped()(context) : std::nullopt;
  };
  start(1);
  queue_.push(job("old", "s"));
  ASSERT_TRUE(eventually([&] { return record_.has("fetch"); }));
  queue_.push(job("new", "s"));
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("old").back(), DeploymentStatus::cancelled);
  EXPECT_EQ(reporter_.statuses("new"), k_built);
}

TEST_F(WorkerTest, ACancelStopsARunningJob) {
  source_.hook = fakes::until_stopped();
  start(1);
  queue_.push(job("d1", "s1"));
  ASSERT_TRUE(eventually([&] { return record_.has("fetch"); }));
  worker_->on_cancel(domain::DeploymentId("d1"));
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1").back(), DeploymentStatus::cancelled);
}

TEST_F(WorkerTest, ACancelRemovesAQueuedJobAndSaysSo) {
  source_.hook = fakes::until_stopped();
  start(1);
  queue_.push(job("d1", "s1"));
  ASSERT_TRUE(eventually([&] { return record_.has("fetch"); }));
  queue_.push(job("d2", "s2"));
  worker_->on_cancel(domain::DeploymentId("d2"));
  ASSERT_TRUE(eventually(
      [&] { return reporter_.statuses("d2") == Statuses{DeploymentStatus::cancelled}; }));
  EXPECT_TRUE(queue_.queued().empty());
  worker_->on_cancel(domain::DeploymentId("d1"));
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
}

TEST_F(WorkerTest, AJobWhoseCancelCameBeforeItIsNotBuilt) {
  ASSERT_TRUE(queue_.cancel(domain::DeploymentId("d1")));
  queue_.push(job("d1", "s1"));
  start(1);
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1"), (Statuses{DeploymentStatus::cancelled}));
  EXPECT_FALSE(record_.has("build"));
}

TEST_F(WorkerTest, ASecondSignalGivesRunningJobsBack) {
  source_.hook = fakes::until_stopped();
  start(1);
  queue_.push(job("d1", "s1"));
  ASSERT_TRUE(eventually([&] { return record_.has("fetch"); }));
  hurry_.request_stop();
  stop();
  EXPECT_EQ(queue_.queued(), (std::vector<std::string>{job("d1", "s1")}));
  for (const DeploymentStatus status : reporter_.statuses("d1")) {
    EXPECT_EQ(status, DeploymentStatus::building);
  }
}

TEST_F(WorkerTest, ADrainLeavesTheEndsOfOthersWhileTheQueueIsAway) {
  queue_.hold_lease(false);
  adopt_two();
  queue_.refuse_next(ErrorKind::unavailable, 1'000'000);
  EXPECT_TRUE(stops_without([&] {
    queue_.refuse_next(ErrorKind::unavailable, 0);
    queue_.hold_lease(true);
  }));
  EXPECT_TRUE(reporter_.posts().empty());
  EXPECT_FALSE(queue_.idle()) << "they are kept";
}

TEST_F(WorkerTest, ADrainLeavesTheEndsOfOthersWhileTheApiIsAway) {
  settings_.adopted_patience = 10s;  // Only a drain that waits for it sees it pass.
  reporter_.fail_next(ErrorKind::unavailable, 1'000'000);
  adopt_two();
  EXPECT_TRUE(stops_without([] {}));
  EXPECT_TRUE(reporter_.posts().empty());
  EXPECT_FALSE(queue_.idle()) << "they are kept";
}

TEST_F(WorkerTest, ADrainGivesAJobBackWhoseLogWaitsForTheLease) {
  source_.hook = fakes::until_stopped();
  queue_.hold_lease(false);
  queue_.push(job("d1", "s1"));
  start(1);
  ASSERT_TRUE(eventually([&] { return record_.has("fetch"); }));
  hurry_.request_stop();
  EXPECT_TRUE(stops_without([&] { queue_.hold_lease(true); }));
  EXPECT_EQ(queue_.queued(), (std::vector<std::string>{job("d1", "s1")}));
}

TEST_F(WorkerTest, WithoutAThreadToBeHadAJobGoesBackAndComesAgain) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto in_child = [this] {
    fakes::ThreadLimit threads;
    if (!threads.binds()) {
      std::_Exit(0);
    }
    start(1);
    queue_.push(job("d0", "s0"));
    EXPECT_TRUE(eventually([&] { return queue_.idle(); }));
    threads.forbid();
    queue_.push(job("d1", "s1"));
    EXPECT_TRUE(eventually([&] { return !worker_->paused_because().empty(); }));
    EXPECT_TRUE(eventually([&] { return queue_.length() == 1 && worker_->idle(); }));
    threads.allow();
    EXPECT_TRUE(eventually([&] { return queue_.idle(); }));
    EXPECT_EQ(reporter_.statuses("d1"), k_built);
    std::_Exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "");
}

TEST_F(WorkerTest, WithoutAThreadToBeHadAnEndIsLeftToOthers) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto in_child = [this] {
    fakes::ThreadLimit threads;
    if (!threads.binds()) {
      std::_Exit(0);
    }
    can_build_ = false;
    queue_.push(job("d1", "s1"));
    start(1);
    worker_->on_cancel(domain::DeploymentId("d1"));
    EXPECT_TRUE(eventually([&] { return queue_.idle(); }));
    queue_.push(job("d2", "s2"));
    threads.forbid();
    worker_->on_cancel(domain::DeploymentId("d2"));  // Its end is one for the outbox relay.
    EXPECT_TRUE(eventually([&] { return !worker_->paused_because().empty(); }));
    EXPECT_TRUE(eventually([&] { return queue_.undelivered() == 0; }));
    EXPECT_TRUE(reporter_.statuses("d2").empty());
    threads.allow();
    EXPECT_TRUE(eventually([&] { return queue_.idle(); }));
    EXPECT_EQ(reporter_.statuses("d2"), (Statuses{DeploymentStatus::cancelled}));
    std::_Exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "");
}

TEST_F(WorkerTest, AJobThatIsGivenBackIsNotTakenForItsOwnDuplicate) {
  settings_.building_patience = 0s;
  reporter_.fail_next(ErrorKind::unavailable, 1'000);
  start(2);
  queue_.push(job("d1", "s1"));
  ASSERT_TRUE(eventually([&] { return !worker_->paused_because().empty(); }));
  stop();
  EXPECT_EQ(queue_.queued(), (std::vector<std::string>{job("d1", "s1")}));
}

TEST_F(WorkerTest, WhatTheRegistryHasIsNotBuiltAgainByARedisThatCameBackOld) {
  queue_.push(job("old", "s1"));
  queue_.push("no job");
  queue_.come_back_old();
  registry_.there = "sha256:0";
  start(1);
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  registry_.there.clear();
  queue_.push(job("new", "s2"));
  ASSERT_TRUE(eventually([&] { return reporter_.statuses("new") == k_built; }));
  EXPECT_TRUE(reporter_.statuses("old").empty());
  EXPECT_TRUE(metrics_.render().contains("dead_letters_total{reason=\"built_before\"} 1"));
}

TEST_F(WorkerTest, NothingIsTakenWhileTheRegistryCannotSayWhatIsOld) {
  std::atomic<bool> away = true;
  registry_.find_hook = [&]() -> std::optional<Error> {
    return away ? std::optional(Error{.kind = ErrorKind::unavailable, .message = "away"})
                : std::nullopt;
  };
  queue_.push(job("d1", "s1"));
  queue_.come_back_old();
  start(1);
  ASSERT_TRUE(eventually([&] { return record_.has("find d1"); }));
  EXPECT_EQ(queue_.length(), 1U);
  EXPECT_TRUE(reporter_.statuses("d1").empty());
  away = false;
  EXPECT_TRUE(eventually([&] { return reporter_.statuses("d1") == k_built; }));
}

TEST_F(WorkerTest, ARegistryThatRefusesToLookMakesAJobNoOldOne) {
  registry_.find_hook = [] { return Error{.kind = ErrorKind::denied, .message = "no"}; };
  queue_.push(job("d1", "s1"));
  queue_.come_back_old();
  start(1);
  EXPECT_TRUE(eventually([&] { return reporter_.statuses("d1") == k_built; }));
}

TEST_F(WorkerTest, GarbageIsDroppedAndAMalformedJobFails) {
  queue_.push("not json");
  queue_.push(R"({"deploymentId":"../victim","serviceId":"s"})");
  queue_.push(R"({"deploymentId":"d1","serviceId":"s","branch":7})");
  start(1);
  ASSERT_TRUE(eventually([&] { return queue_.idle(); }));
  EXPECT_EQ(reporter_.statuses("d1"), (Statuses{DeploymentStatus::failed}));
  EXPECT_EQ(reporter_.posts().size(), 1u);
}

}  // namespace
}  // namespace builder::work
